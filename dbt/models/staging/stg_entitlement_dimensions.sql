{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  e.organization_id,
  d.entitlement_id,
  d.position,
  d.key,
  d.name,
  d.quantity,
  d.price,
  d.unit,
  e.currency
FROM {{ automatum_table('entitlement_dimensions') }} AS d
JOIN {{ ref('stg_entitlements') }} AS e
  ON e.entitlement_id = d.entitlement_id
  AND (d.organization_id IS NULL OR d.organization_id = e.organization_id)
WHERE d._deleted_at IS NULL AND NOT COALESCE(d._removed, FALSE)
