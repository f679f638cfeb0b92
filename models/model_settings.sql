-- What are the definitions on which firms differ? One row of constants that all models read.
-- To change one, set it in [sources.automatum.models] and run `automatum models create`. Lists are separated by commas.
-- today: the day up to which everything is counted. Default: the current day in UTC.
-- counted_statuses: entitlements of these statuses have contract value, from the first to the last day of their term.
-- active_statuses: entitlements of these statuses are active now.
-- ended_statuses: entitlements of these statuses end on the day of their last change, if that is before their last day.
-- open_offer_statuses, accepted_offer_statuses: what an offer that waits for an answer, and an accepted one, may be.
-- annual_days: days of a year. Annual value = value of the term * annual_days / days of the term.
-- renewal_gap_days: a term that begins at most so many days after another one of the same customer and listing renews it.
-- retention_months: months between the two days that retention compares.
-- horizon_days: contracts_ending looks so many days ahead.
-- hanging_days: an open offer hangs if its state is older.
-- restatement_days: revenue of the last so many days may still change.
-- fee_tolerance: how far the fee of one charge may be from the expected one, in money: marketplaces round each charge.
-- reporting_currency: the currency into which exchange_rates converts revenue. Empty: none.
SELECT
  DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) / 86400) AS INT) AS today,
  'active,suspended,pending,expired,cancelled' AS counted_statuses,
  'active' AS active_statuses,
  'cancelled' AS ended_statuses,
  'draft,created,pending,sent,viewed' AS open_offer_statuses,
  'accepted' AS accepted_offer_statuses,
  365 AS annual_days,
  30 AS renewal_gap_days,
  12 AS retention_months,
  180 AS horizon_days,
  14 AS hanging_days,
  35 AS restatement_days,
  CAST('0.005' AS DECIMAL(18, 9)) AS fee_tolerance,
  '' AS reporting_currency
