{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(s.organization_id, o.organization_id) AS organization_id,
  s.sweep_id, s.table_name, s.started_at, s.finished_at, s.requests, s.announced, s.distinct_keys, s.inserted,
  s.updated, s.deleted, s.unchanged, s.verdict, s.reason
FROM {{ automatum_table('_automatum_sweeps') }} AS s
JOIN {{ automatum_table('_dlt_loads') }} AS l ON l.load_id = s.load_id AND l.status = 0
CROSS JOIN {{ ref('int_organization') }} AS o
