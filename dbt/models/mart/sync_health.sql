{# Generated from models/ by `make dbt-models`: change it there. #}
WITH ranked AS (
  SELECT
    s.*,
    ROW_NUMBER() OVER (PARTITION BY s.organization_id, s.table_name ORDER BY s.finished_at DESC, s.sweep_id) AS place
  FROM {{ ref('stg_sweeps') }} AS s
),
complete AS (
  SELECT
    r.*,
    ROW_NUMBER() OVER (PARTITION BY r.organization_id, r.table_name ORDER BY r.place) AS complete_place
  FROM ranked AS r
  WHERE r.verdict = 'complete'
),
counts AS (
  SELECT r.organization_id, r.table_name, COUNT(CASE WHEN c.place IS NULL OR r.place < c.place THEN 1 END) AS incomplete
  FROM ranked AS r
  LEFT JOIN complete AS c
    ON c.complete_place = 1 AND c.organization_id = r.organization_id AND c.table_name = r.table_name
  GROUP BY r.organization_id, r.table_name
),
rejected AS (
  SELECT organization_id, table_name, COUNT(*) AS items
  FROM {{ ref('stg_rejected') }} AS stg_rejected
  WHERE resolved_at IS NULL
  GROUP BY organization_id, table_name
)
SELECT
  r.organization_id,
  r.table_name,
  r.verdict AS last_verdict,
  r.reason AS last_reason,
  r.finished_at AS last_finished_at,
  c.finished_at AS last_complete_at,
  s.today - (DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM c.finished_at) / 86400) AS INT)) AS days_old,
  n.incomplete AS incomplete_since_then,
  c.distinct_keys AS rows_listed,
  COALESCE(x.items, 0) AS open_items
FROM ranked AS r
CROSS JOIN {{ ref('model_settings') }} AS s
JOIN counts AS n ON n.organization_id = r.organization_id AND n.table_name = r.table_name
LEFT JOIN complete AS c
  ON c.complete_place = 1 AND c.organization_id = r.organization_id AND c.table_name = r.table_name
LEFT JOIN rejected AS x ON x.organization_id = r.organization_id AND x.table_name = r.table_name
WHERE r.place = 1
UNION ALL
SELECT
  j.organization_id,
  'metering_journal' AS table_name,
  CAST(NULL AS TEXT) AS last_verdict,
  CAST(NULL AS TEXT) AS last_reason,
  MAX(j.recorded_at) AS last_finished_at,
  CAST(NULL AS TIMESTAMPTZ) AS last_complete_at,
  CAST(NULL AS INT) AS days_old,
  CAST(0 AS BIGINT) AS incomplete_since_then,
  CAST(NULL AS BIGINT) AS rows_listed,
  COUNT(CASE WHEN j.closed_at IS NULL THEN 1 END) AS open_items
FROM {{ ref('stg_metering_journal') }} AS j
GROUP BY j.organization_id
