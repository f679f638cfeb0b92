{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT COALESCE(MIN(organization_id), '') AS organization_id
FROM (
  SELECT organization_id FROM {{ automatum_table('customers') }} AS customers
  UNION ALL
  SELECT organization_id FROM {{ automatum_table('entitlements') }} AS entitlements
  UNION ALL
  SELECT organization_id FROM {{ automatum_table('private_offers') }} AS private_offers
) AS named
