{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(j.organization_id, o.organization_id) AS organization_id,
  j.item_id, j.kind, j.subject, j.source, j.reason, j.recorded_by, j.recorded_at, j.closed_at, j.closed_by,
  j.closed_reason
FROM {{ automatum_table('metering_journal') }} AS j
CROSS JOIN {{ ref('int_organization') }} AS o
