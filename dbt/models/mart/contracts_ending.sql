{# Generated from models/ by `make dbt-models`: change it there. #}
WITH contracts AS MATERIALIZED (SELECT * FROM {{ ref('int_contracts') }} AS int_contracts)
SELECT
  c.organization_id,
  c.entitlement_id,
  c.customer_id,
  k.company_name,
  c.vendor,
  c.listing_id,
  c.product_name,
  c.status,
  c.auto_renew,
  c.starts_on,
  c.ends_on,
  c.ends_on - s.today AS days_left,
  CASE
    WHEN c.ends_on - s.today <= 30 THEN 30
    WHEN c.ends_on - s.today <= 60 THEN 60
    WHEN c.ends_on - s.today <= 90 THEN 90
    WHEN c.ends_on - s.today <= 120 THEN 120
    WHEN c.ends_on - s.today <= 180 THEN 180
  END AS bucket,
  c.value,
  c.annual_value,
  c.currency,
  c.successor_id,
  c.successor_starts_on,
  c.successor_value,
  c.successor_currency
FROM contracts AS c
CROSS JOIN {{ ref('model_settings') }} AS s
LEFT JOIN {{ ref('stg_customers') }} AS k ON k.organization_id = c.organization_id AND k.customer_id = c.customer_id
WHERE POSITION(',' || COALESCE(c.status, '') || ',' IN ',' || s.active_statuses || ',') > 0
  AND c.ends_on >= s.today
  AND c.ends_on <= s.today + s.horizon_days
