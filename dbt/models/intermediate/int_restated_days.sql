{# Generated from models/ by `make dbt-models`: change it there. #}
WITH history_readings AS (
  SELECT organization_id, date, vendor, listing_id, currency, valid_from AS read_at, 'history' AS basis
  FROM {{ automatum_table('analytics_revenue_history') }} AS analytics_revenue_history
),
row_readings AS (
  SELECT organization_id, date, vendor, listing_id, currency, _synced_at AS read_at, 'last change' AS basis
  FROM {{ automatum_table('analytics_revenue') }} AS analytics_revenue
  UNION ALL
  SELECT organization_id, date, vendor, listing_id, currency, _deleted_at AS read_at, 'last change' AS basis
  FROM {{ automatum_table('analytics_revenue') }} AS analytics_revenue
  WHERE _deleted_at IS NOT NULL
),
readings AS (
  SELECT * FROM history_readings
  UNION ALL
  SELECT * FROM row_readings WHERE NOT EXISTS (SELECT 1 FROM history_readings)
),
dated AS (
  SELECT
    COALESCE(r.organization_id, o.organization_id) AS organization_id,
    r.date AS day,
    COALESCE(r.vendor, 'unknown') AS vendor,
    r.listing_id,
    COALESCE(r.currency, 'unknown') AS currency,
    r.basis,
    DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM r.read_at) / 86400) AS INT) AS read_on
  FROM readings AS r
  CROSS JOIN {{ ref('int_organization') }} AS o
  WHERE r.date IS NOT NULL
),
compared AS (
  SELECT d.*, MIN(d.read_on) OVER (PARTITION BY d.organization_id, d.day) AS first_read_on
  FROM dated AS d
)
SELECT DISTINCT organization_id, day, vendor, listing_id, currency, basis
FROM compared
WHERE read_on > first_read_on AND read_on > day
