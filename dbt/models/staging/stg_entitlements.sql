{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(e.organization_id, o.organization_id) AS organization_id,
  e.id AS entitlement_id,
  e.customer_id,
  COALESCE(e.vendor, 'unknown') AS vendor,
  e.listing_id,
  e.product_name,
  e.plan_id,
  e.status,
  e.start_date,
  e.end_date,
  e.expires_at,
  e.auto_renew,
  e.private_offer_id,
  e.value,
  COALESCE(e.currency, 'unknown') AS currency,
  e.created_at,
  e.updated_at
FROM {{ automatum_table('entitlements') }} AS e
CROSS JOIN {{ ref('int_organization') }} AS o
WHERE e._deleted_at IS NULL
