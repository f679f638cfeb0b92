{# Generated from models/ by `make dbt-models`: change it there. #}
WITH sums AS (
  SELECT
    m.organization_id,
    CAST(DATE_TRUNC('month', m.day) AS DATE) AS month,
    m.vendor,
    m.customer_id,
    m.listing_id,
    m.dimension,
    m.currency,
    COUNT(*) AS lines,
    SUM(CASE WHEN m.carried_from IS NULL THEN m.asked_units ELSE 0 END) AS measured_units,
    SUM(CASE WHEN m.carried_from IS NULL THEN m.asked_amount ELSE 0 END) AS measured_amount,
    SUM(CASE WHEN m.carried_from IS NULL THEN 0 ELSE m.asked_units END) AS carried_in_units,
    SUM(CASE WHEN m.carried_from IS NULL THEN 0 ELSE m.asked_amount END) AS carried_in_amount,
    SUM(CASE WHEN m.state = 'confirmed' THEN 0 ELSE COALESCE(m.accepted_units, 0) END) AS accepted_units,
    SUM(CASE WHEN m.state = 'confirmed' THEN 0 ELSE COALESCE(m.accepted_amount, 0) END) AS accepted_amount,
    SUM(CASE WHEN m.state = 'confirmed' THEN COALESCE(m.accepted_units, 0) ELSE 0 END) AS confirmed_units,
    SUM(CASE WHEN m.state = 'confirmed' THEN COALESCE(m.accepted_amount, 0) ELSE 0 END) AS confirmed_amount,
    SUM(COALESCE(m.carried_units, 0)) AS carried_out_units,
    SUM(COALESCE(m.carried_amount, 0)) AS carried_out_amount,
    SUM(CASE WHEN m.state IN ('unbilled', 'settled') OR m.open_units < 0 THEN 0 ELSE m.open_units END) AS open_units,
    SUM(CASE WHEN m.state IN ('unbilled', 'settled') OR m.open_units > 0 THEN 0 ELSE -m.open_units END) AS over_billed_units,
    SUM(CASE WHEN m.state IN ('unbilled', 'settled') OR m.open_amount < 0 THEN 0 ELSE m.open_amount END) AS open_amount,
    SUM(CASE WHEN m.state IN ('unbilled', 'settled') OR m.open_amount > 0 THEN 0 ELSE -m.open_amount END) AS over_billed_amount,
    SUM(CASE WHEN m.state = 'unbilled' THEN m.open_units ELSE 0 END) AS refused_units,
    SUM(CASE WHEN m.state = 'unbilled' THEN m.open_amount ELSE 0 END) AS refused_amount,
    SUM(CASE WHEN m.state = 'settled' THEN m.open_units ELSE 0 END) AS written_off_units,
    SUM(CASE WHEN m.state = 'settled' THEN m.open_amount ELSE 0 END) AS written_off_amount,
    COUNT(
      CASE WHEN m.state NOT IN ('accepted', 'confirmed', 'settled') OR (m.state <> 'settled' AND m.open_units <> 0) THEN 1 END
    ) AS unresolved_lines
  FROM {{ ref('stg_metering_lines') }} AS m
  GROUP BY
    m.organization_id, CAST(DATE_TRUNC('month', m.day) AS DATE), m.vendor, m.customer_id, m.listing_id, m.dimension, m.currency
)
SELECT
  u.organization_id,
  u.month,
  u.vendor,
  u.customer_id,
  k.company_name,
  u.listing_id,
  u.dimension,
  u.currency,
  u.lines,
  u.unresolved_lines,
  u.unresolved_lines = 0 AS is_billed,
  u.measured_units,
  u.accepted_units,
  u.confirmed_units,
  u.open_units,
  u.over_billed_units,
  u.refused_units,
  u.written_off_units,
  u.carried_in_units,
  u.carried_out_units,
  u.measured_amount,
  u.accepted_amount,
  u.confirmed_amount,
  u.open_amount,
  u.over_billed_amount,
  u.refused_amount,
  u.written_off_amount,
  u.carried_in_amount,
  u.carried_out_amount
FROM sums AS u
LEFT JOIN {{ ref('stg_customers') }} AS k ON k.organization_id = u.organization_id AND k.customer_id = u.customer_id
