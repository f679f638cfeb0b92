-- Which contracts end soon, and is there one that follows?
-- A row is an active entitlement (active_statuses) whose last day is today or at most horizon_days ahead. days_left: until the
-- last day, which is itself a part of the term. bucket: the smallest of 30, 60, 90, 120 and 180 days that it fits into.
-- value: of the whole term; annual_value: see contract_value_daily; both in currency, before the fee. successor: the listed
-- entitlement of the same customer and listing that begins at most renewal_gap_days after the last day, also if it is pending.
-- auto_renew is null if the API does not say, which is not the same as false. It does not say whether the customer will renew;
-- an open renewal offer is in offers_open. Contracts without a last day are not in it.
WITH contracts AS MATERIALIZED (SELECT * FROM int_contracts)
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
CROSS JOIN model_settings AS s
LEFT JOIN stg_customers AS k ON k.organization_id = c.organization_id AND k.customer_id = c.customer_id
WHERE POSITION(',' || COALESCE(c.status, '') || ',' IN ',' || s.active_statuses || ',') > 0
  AND c.ends_on >= s.today
  AND c.ends_on <= s.today + s.horizon_days
