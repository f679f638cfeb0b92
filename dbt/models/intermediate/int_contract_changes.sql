{# Generated from models/ by `make dbt-models`: change it there. #}
WITH stretches AS (SELECT * FROM {{ ref('int_contract_days') }} AS int_contract_days),
events AS (
  SELECT organization_id, vendor, customer_id, currency, from_day AS day, annual_value AS change, 1 AS contracts
  FROM stretches
  UNION ALL
  SELECT organization_id, vendor, customer_id, currency, to_day + 1 AS day, -annual_value AS change, -1 AS contracts
  FROM stretches
),
changes AS (
  SELECT
    organization_id, vendor, customer_id, currency, day, SUM(change) AS change,
    CAST(SUM(contracts) AS BIGINT) AS contracts
  FROM events
  GROUP BY organization_id, vendor, customer_id, currency, day
),
summed AS (
  SELECT
    organization_id, vendor, customer_id, currency, day, change, contracts,
    SUM(change) OVER (
      PARTITION BY organization_id, vendor, customer_id, currency ORDER BY day
      ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS value_after
  FROM changes
)
SELECT
  organization_id,
  vendor,
  customer_id,
  currency,
  day,
  contracts,
  value_after - change AS value_before,
  value_after
FROM summed
WHERE change <> 0 OR contracts <> 0
