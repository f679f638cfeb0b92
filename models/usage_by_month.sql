-- Was all usage of a month billed, and what became of the rest?
-- A row is a month of use, marketplace, customer, listing, dimension and currency, by the exported ledger of the push, in units
-- of the dimension and in money (units times price, in currency). Each unit is in one column:
-- measured + carried_in + over_billed = accepted + confirmed + carried_out + open + refused + written_off.
-- measured: what the usage has. carried_in: usage of other hours that lines of this month bill. accepted: the API has queued
-- it. confirmed: the marketplace has billed it. carried_out: lines of other hours bill it. open: nobody knows, or less was
-- billed than was used; it needs a person. over_billed: more was billed; it needs a credit. refused: the API or marketplace
-- refused it, or it was too late; it is not billed. written_off: a person said that it is never billed. is_billed: nothing is
-- open, over-billed or refused.
-- Accepted is not yet billed: only an event confirms it. It does not say what was never measured or never pushed, and rows of
-- usage that were refused before they became a line are open items of metering_journal in sync_health.
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
  FROM stg_metering_lines AS m
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
LEFT JOIN stg_customers AS k ON k.organization_id = u.organization_id AND k.customer_id = u.customer_id
