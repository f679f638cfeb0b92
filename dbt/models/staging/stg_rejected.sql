{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(r.organization_id, o.organization_id) AS organization_id,
  r.table_name,
  r.rejection_id,
  r.reason,
  r.rejected_at,
  r.resolved_at
FROM {{ automatum_table('_automatum_rejected') }} AS r
CROSS JOIN {{ ref('int_organization') }} AS o
