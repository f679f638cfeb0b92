-- Which revenue does the report list? A row is a day (or a period), marketplace, listing, customer and currency.
-- revenue is negative for a refund, and marketplace_fee has its sign (assumed).
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
FROM analytics_revenue AS r
CROSS JOIN int_organization AS o
WHERE r._deleted_at IS NULL
