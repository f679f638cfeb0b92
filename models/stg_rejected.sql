-- Which records of the API could not be loaded? A row is one of them. Those that are still listed have no resolved_at.
SELECT
  COALESCE(r.organization_id, o.organization_id) AS organization_id,
  r.table_name,
  r.rejection_id,
  r.reason,
  r.rejected_at,
  r.resolved_at
FROM _automatum_rejected AS r
CROSS JOIN int_organization AS o
