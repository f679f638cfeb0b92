{# Generated from models/ by `make dbt-models`: change it there. #}
WITH stretches AS (SELECT * FROM {{ ref('int_contract_days') }} AS int_contract_days),
months AS (
  SELECT DISTINCT
    d.month,
    CAST(d.month + INTERVAL '1 month' AS DATE) - 1 AS last_day,
    CAST(EXTRACT(YEAR FROM d.month) * 12 + EXTRACT(MONTH FROM d.month) AS INT) AS number
  FROM {{ ref('int_days') }} AS d
),
pairs AS (
  SELECT m.month, m.last_day, e.last_day AS compared_with
  FROM months AS m
  CROSS JOIN {{ ref('model_settings') }} AS s
  JOIN months AS e ON e.number = m.number - s.retention_months
  WHERE m.last_day < s.today
),
opening AS (
  SELECT p.month, p.last_day, p.compared_with, c.organization_id, c.customer_id, c.currency, SUM(c.annual_value) AS value
  FROM pairs AS p
  JOIN stretches AS c ON c.from_day <= p.compared_with AND c.to_day >= p.compared_with
  GROUP BY p.month, p.last_day, p.compared_with, c.organization_id, c.customer_id, c.currency
),
closing AS (
  SELECT p.month, c.organization_id, c.customer_id, c.currency, SUM(c.annual_value) AS value
  FROM pairs AS p
  JOIN stretches AS c ON c.from_day <= p.last_day AND c.to_day >= p.last_day
  GROUP BY p.month, c.organization_id, c.customer_id, c.currency
),
compared AS (
  SELECT
    o.organization_id,
    o.currency,
    o.month,
    o.compared_with,
    COUNT(*) AS customers,
    COUNT(CASE WHEN c.value > 0 THEN 1 END) AS customers_kept,
    SUM(o.value) AS opening_value,
    SUM(LEAST(COALESCE(c.value, 0), o.value)) AS kept_value,
    SUM(COALESCE(c.value, 0)) AS closing_value
  FROM opening AS o
  LEFT JOIN closing AS c
    ON c.month = o.month
    AND c.organization_id = o.organization_id
    AND c.customer_id = o.customer_id
    AND c.currency = o.currency
  WHERE o.value > 0
  GROUP BY o.organization_id, o.currency, o.month, o.compared_with
)
SELECT
  c.organization_id,
  c.month,
  c.compared_with,
  c.currency,
  c.customers,
  c.customers_kept,
  c.opening_value,
  c.kept_value,
  c.closing_value,
  CAST(
    {{ integer_division() }}(
      (CAST(c.kept_value * 100 AS {{ wide_integer() }}) * 20000 + CAST(c.opening_value * 100 AS {{ wide_integer() }})),
      (CAST(c.opening_value * 100 AS {{ wide_integer() }}) * 2)
    ) AS DECIMAL(30, 0)
  ) * 0.0001 AS gross_retention,
  CAST(
    {{ integer_division() }}(
      (CAST(c.closing_value * 100 AS {{ wide_integer() }}) * 20000 + CAST(c.opening_value * 100 AS {{ wide_integer() }})),
      (CAST(c.opening_value * 100 AS {{ wide_integer() }}) * 2)
    ) AS DECIMAL(30, 0)
  ) * 0.0001 AS net_retention,
  CASE WHEN c.compared_with >= h.since THEN 'history' ELSE 'terms' END AS basis
FROM compared AS c
LEFT JOIN {{ ref('int_history') }} AS h ON h.organization_id = c.organization_id
