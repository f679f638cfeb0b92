{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(c.organization_id, o.organization_id) AS organization_id,
  c.id AS customer_id,
  COALESCE(c.vendor, 'unknown') AS vendor,
  c.company_name,
  c.email,
  c.status,
  c.aws_account_id,
  c.azure_tenant_id,
  c.cloud_identifier,
  c.created_at,
  c.updated_at
FROM {{ automatum_table('customers') }} AS c
CROSS JOIN {{ ref('int_organization') }} AS o
WHERE c._deleted_at IS NULL
