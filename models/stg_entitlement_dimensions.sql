-- Which dimensions are the listed entitlements priced by? A row is one dimension of one entitlement.
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
FROM entitlement_dimensions AS d
JOIN stg_entitlements AS e
  ON e.entitlement_id = d.entitlement_id
  AND (d.organization_id IS NULL OR d.organization_id = e.organization_id)
WHERE d._deleted_at IS NULL AND NOT COALESCE(d._removed, FALSE)
