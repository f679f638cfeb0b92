{# Generated from models/ by `make dbt-models`: change it there. #}
WITH contracts AS MATERIALIZED (SELECT * FROM {{ ref('int_contracts') }} AS int_contracts),
last_days AS (
  SELECT
    c.organization_id,
    c.customer_id,
    c.vendor,
    MIN(c.starts_on) AS first_day,
    MAX(c.ends_on) AS last_day,
    COUNT(*) AS contracts
  FROM contracts AS c
  WHERE c.customer_id IS NOT NULL
  GROUP BY c.organization_id, c.customer_id, c.vendor
  HAVING COUNT(*) = COUNT(c.ends_on)
)
SELECT
  l.organization_id,
  l.customer_id,
  k.company_name,
  l.vendor,
  k.status,
  l.first_day,
  l.last_day,
  l.last_day + 1 AS left_on,
  s.today - l.last_day AS days_ago,
  l.contracts,
  c.currency,
  SUM(c.annual_value) AS lost_value,
  s.today - l.last_day <= s.renewal_gap_days AS may_return
FROM last_days AS l
CROSS JOIN {{ ref('model_settings') }} AS s
JOIN contracts AS c
  ON c.organization_id = l.organization_id
  AND c.customer_id = l.customer_id
  AND c.vendor = l.vendor
  AND c.ends_on = l.last_day
LEFT JOIN {{ ref('stg_customers') }} AS k ON k.organization_id = l.organization_id AND k.customer_id = l.customer_id
WHERE l.last_day < s.today
GROUP BY
  l.organization_id, l.customer_id, k.company_name, l.vendor, k.status, l.first_day, l.last_day, l.contracts, c.currency,
  s.today, s.renewal_gap_days
