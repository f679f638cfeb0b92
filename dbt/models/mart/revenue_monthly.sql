{# Generated from models/ by `make dbt-models`: change it there. #}
WITH rated AS (
  SELECT
    r.*,
    CAST(DATE_TRUNC('month', r.day) AS DATE) AS month,
    s.today,
    s.restatement_days,
    s.reporting_currency,
    CASE WHEN r.currency = s.reporting_currency THEN CAST(1 AS DECIMAL(18, 9)) ELSE x.rate END AS rate
  FROM {{ ref('stg_revenue') }} AS r
  CROSS JOIN {{ ref('model_settings') }} AS s
  LEFT JOIN {{ ref('stg_exchange_rates') }} AS x
    ON x.currency = r.currency
    AND x.reporting_currency = s.reporting_currency
    AND r.day >= x.valid_from
    AND (x.valid_until IS NULL OR r.day < x.valid_until)
),
restated AS (
  SELECT
    organization_id, vendor, COALESCE(listing_id, '') AS listing, currency,
    CAST(DATE_TRUNC('month', day) AS DATE) AS month, COUNT(DISTINCT day) AS days
  FROM {{ ref('int_restated_days') }} AS int_restated_days
  GROUP BY organization_id, vendor, COALESCE(listing_id, ''), currency, CAST(DATE_TRUNC('month', day) AS DATE)
),
basis AS (
  SELECT CASE WHEN EXISTS (SELECT 1 FROM {{ automatum_table('analytics_revenue_history') }} AS analytics_revenue_history) THEN 'history' ELSE 'last change' END AS basis
),
months AS (
  SELECT
    organization_id,
    vendor,
    listing_id,
    currency,
    month,
    reporting_currency,
    SUM(gross) AS gross,
    SUM(fee) AS fee,
    SUM(net) AS net,
    SUM(CASE WHEN gross < 0 THEN gross ELSE 0 END) AS refunds,
    CASE
      WHEN COUNT(net) = COUNT(CASE WHEN rate IS NOT NULL THEN net END) AND reporting_currency <> '' THEN SUM(net * rate)
    END AS net_converted,
    CAST(SUM(charges) AS BIGINT) AS charges,
    COUNT(DISTINCT customer_id) AS customers,
    COUNT(DISTINCT CASE WHEN day > today - restatement_days THEN day END) AS open_days,
    SUM(CASE WHEN gross IS NULL OR fee IS NULL OR net IS NULL THEN 1 ELSE 0 END) AS rows_without_amount
  FROM rated
  GROUP BY organization_id, vendor, listing_id, currency, month, reporting_currency
)
SELECT
  m.organization_id,
  m.month,
  m.vendor,
  m.listing_id,
  m.currency,
  m.gross,
  m.fee,
  m.net,
  m.refunds,
  m.charges,
  m.customers,
  m.reporting_currency,
  m.net_converted,
  COALESCE(d.days, 0) AS restated_days,
  m.open_days,
  CAST(m.rows_without_amount AS BIGINT) AS rows_without_amount,
  b.basis
FROM months AS m
CROSS JOIN basis AS b
LEFT JOIN restated AS d
  ON d.organization_id = m.organization_id
  AND d.vendor = m.vendor
  AND d.listing = COALESCE(m.listing_id, '')
  AND d.currency = m.currency
  AND d.month = m.month
