{# Generated from models/ by `make dbt-models`: change it there. #}
WITH changes AS (SELECT * FROM {{ ref('int_contract_changes') }} AS int_contract_changes),
days AS (SELECT * FROM {{ ref('int_days') }} AS int_days),
bounds AS (
  SELECT organization_id, vendor, currency, MIN(day) AS first_day
  FROM changes
  GROUP BY organization_id, vendor, currency
),
moves AS (
  SELECT
    c.organization_id,
    c.vendor,
    c.currency,
    GREATEST(c.day, f.first_day) AS day,
    SUM(c.value_after - c.value_before) AS change,
    SUM(CASE WHEN c.value_before = 0 THEN c.value_after ELSE 0 END) AS new_value,
    SUM(CASE WHEN c.value_before <> 0 AND c.value_after > c.value_before THEN c.value_after - c.value_before ELSE 0 END)
      AS expansion_value,
    SUM(
      CASE
        WHEN c.value_before <> 0 AND c.value_after <> 0 AND c.value_after < c.value_before
          THEN c.value_after - c.value_before
        ELSE 0
      END
    ) AS contraction_value,
    SUM(CASE WHEN c.value_before <> 0 AND c.value_after = 0 THEN -c.value_before ELSE 0 END) AS churn_value,
    SUM(c.contracts) AS contracts,
    SUM(
      CASE WHEN c.value_before = 0 AND c.value_after <> 0 THEN 1 WHEN c.value_before <> 0 AND c.value_after = 0 THEN -1 ELSE 0 END
    ) AS customers
  FROM changes AS c
  CROSS JOIN (SELECT MIN(day) AS first_day FROM days) AS f
  GROUP BY c.organization_id, c.vendor, c.currency, GREATEST(c.day, f.first_day)
),
contracts AS (SELECT * FROM {{ ref('int_contracts') }} AS int_contracts),
renewals AS (
  SELECT organization_id, vendor, currency, starts_on AS day, SUM(annual_value) AS renewal_value
  FROM contracts
  WHERE is_renewal AND annual_value IS NOT NULL
  GROUP BY organization_id, vendor, currency, starts_on
),
left_out AS (
  SELECT organization_id, vendor, currency, COUNT(*) AS contracts
  FROM contracts
  WHERE annual_value IS NULL
  GROUP BY organization_id, vendor, currency
)
SELECT
  b.organization_id,
  d.day,
  b.vendor,
  b.currency,
  SUM(COALESCE(m.change, 0)) OVER (
    PARTITION BY b.organization_id, b.vendor, b.currency ORDER BY d.day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS value,
  COALESCE(m.new_value, 0) AS new_value,
  COALESCE(m.expansion_value, 0) AS expansion_value,
  COALESCE(m.contraction_value, 0) AS contraction_value,
  COALESCE(m.churn_value, 0) AS churn_value,
  COALESCE(r.renewal_value, 0) AS renewal_value,
  CAST(SUM(COALESCE(m.contracts, 0)) OVER (
    PARTITION BY b.organization_id, b.vendor, b.currency ORDER BY d.day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS BIGINT) AS contracts,
  CAST(SUM(COALESCE(m.customers, 0)) OVER (
    PARTITION BY b.organization_id, b.vendor, b.currency ORDER BY d.day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
  ) AS BIGINT) AS customers,
  COALESCE(l.contracts, 0) AS contracts_left_out,
  CASE WHEN d.day >= h.since THEN 'history' ELSE 'terms' END AS basis
FROM bounds AS b
JOIN days AS d ON d.day >= b.first_day
LEFT JOIN moves AS m
  ON m.organization_id = b.organization_id AND m.vendor = b.vendor AND m.currency = b.currency AND m.day = d.day
LEFT JOIN renewals AS r
  ON r.organization_id = b.organization_id AND r.vendor = b.vendor AND r.currency = b.currency AND r.day = d.day
LEFT JOIN left_out AS l
  ON l.organization_id = b.organization_id AND l.vendor = b.vendor AND l.currency = b.currency
LEFT JOIN {{ ref('int_history') }} AS h ON h.organization_id = b.organization_id
