-- Since when is there a history of entitlements? A row is an organization that has one which is up to date.
-- A history that lacks the present content of a listed entitlement is left out: it was switched off, and would be wrong.
WITH latest AS (
  SELECT
    organization_id,
    id,
    _row_hash,
    deleted,
    ROW_NUMBER() OVER (PARTITION BY organization_id, id ORDER BY valid_from DESC) AS place
  FROM entitlements_history
),
stale AS (
  SELECT COALESCE(e.organization_id, o.organization_id) AS organization_id
  FROM entitlements AS e
  CROSS JOIN int_organization AS o
  LEFT JOIN latest AS l
    ON l.place = 1
    AND l.id = e.id
    AND COALESCE(l.organization_id, o.organization_id) = COALESCE(e.organization_id, o.organization_id)
  WHERE e._deleted_at IS NULL AND (l.id IS NULL OR l.deleted OR l._row_hash <> e._row_hash)
)
SELECT
  v.organization_id,
  DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM MIN(v.valid_from)) / 86400) AS INT) AS since
FROM stg_entitlement_versions AS v
WHERE v.organization_id NOT IN (SELECT organization_id FROM stale)
GROUP BY v.organization_id
