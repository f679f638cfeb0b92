{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(r.organization_id, o.organization_id) AS organization_id,
  r._row_key AS revenue_id,
  r.date AS day,
  r.period,
  COALESCE(r.vendor, 'unknown') AS vendor,
  r.listing_id,
  r.customer_id,
  COALESCE(r.currency, 'unknown') AS currency,
  r.revenue AS gross,
  r.marketplace_fee AS fee,
  r.net_revenue AS net,
  r.count AS charges
FROM {{ automatum_table('analytics_revenue') }} AS r
CROSS JOIN {{ ref('int_organization') }} AS o
WHERE r._deleted_at IS NULL
