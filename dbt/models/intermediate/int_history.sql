{# Generated from models/ by `make dbt-models`: change it there. #}
WITH latest AS (
  SELECT
    organization_id,
    id,
    _row_hash,
    deleted,
    ROW_NUMBER() OVER (PARTITION BY organization_id, id ORDER BY valid_from DESC) AS place
  FROM {{ automatum_table('entitlements_history') }} AS entitlements_history
),
stale AS (
  SELECT COALESCE(e.organization_id, o.organization_id) AS organization_id
  FROM {{ automatum_table('entitlements') }} AS e
  CROSS JOIN {{ ref('int_organization') }} AS o
  LEFT JOIN latest AS l
    ON l.place = 1
    AND l.id = e.id
    AND COALESCE(l.organization_id, o.organization_id) = COALESCE(e.organization_id, o.organization_id)
  WHERE e._deleted_at IS NULL AND (l.id IS NULL OR l.deleted OR l._row_hash <> e._row_hash)
)
SELECT
  v.organization_id,
  DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM MIN(v.valid_from)) / 86400) AS INT) AS since
FROM {{ ref('stg_entitlement_versions') }} AS v
WHERE v.organization_id NOT IN (SELECT organization_id FROM stale)
GROUP BY v.organization_id
