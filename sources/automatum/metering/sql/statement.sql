-- What became of the usage of a month, by customer, listing, dimension, entitlement and currency. Each unit is in one column:
-- measured + carried_in = accepted + confirmed + carried_out + unknown + unbilled + difference + written_off.
SELECT {organization}CAST(DATE_TRUNC('month', day) AS DATE) AS month,
  vendor, customer_id, listing_id, dimension, COALESCE(entitlement_id, '') AS entitlement_id, currency, COUNT(*) AS lines,
  SUM(CASE WHEN carried_from IS NULL THEN asked_units ELSE 0 END) AS measured_units,
  SUM(CASE WHEN carried_from IS NULL THEN asked_amount ELSE 0 END) AS measured_amount,
  SUM(CASE WHEN carried_from IS NULL THEN 0 ELSE asked_units END) AS carried_in_units,
  SUM(CASE WHEN carried_from IS NULL THEN 0 ELSE asked_amount END) AS carried_in_amount,
  SUM(CASE WHEN state = 'confirmed' THEN 0 ELSE COALESCE(accepted_units, 0) END) AS accepted_units,
  SUM(CASE WHEN state = 'confirmed' THEN 0 ELSE COALESCE(accepted_amount, 0) END) AS accepted_amount,
  SUM(CASE WHEN state = 'confirmed' THEN COALESCE(accepted_units, 0) ELSE 0 END) AS confirmed_units,
  SUM(CASE WHEN state = 'confirmed' THEN COALESCE(accepted_amount, 0) ELSE 0 END) AS confirmed_amount,
  SUM(carried_units) AS carried_out_units,
  SUM(carried_amount) AS carried_out_amount,
  SUM(CASE WHEN state IN ('unknown', 'sending') THEN open_units ELSE 0 END) AS unknown_units,
  SUM(CASE WHEN state IN ('unknown', 'sending') THEN open_amount ELSE 0 END) AS unknown_amount,
  SUM(CASE WHEN state = 'unbilled' THEN open_units ELSE 0 END) AS unbilled_units,
  SUM(CASE WHEN state = 'unbilled' THEN open_amount ELSE 0 END) AS unbilled_amount,
  SUM(CASE WHEN state IN ('conflict', 'accepted', 'confirmed') THEN open_units ELSE 0 END) AS difference_units,
  SUM(CASE WHEN state IN ('conflict', 'accepted', 'confirmed') THEN open_amount ELSE 0 END) AS difference_amount,
  SUM(CASE WHEN state = 'settled' THEN open_units ELSE 0 END) AS written_off_units,
  SUM(CASE WHEN state = 'settled' THEN open_amount ELSE 0 END) AS written_off_amount
FROM {lines}
GROUP BY {organization}CAST(DATE_TRUNC('month', day) AS DATE), vendor, customer_id, listing_id, dimension, COALESCE(entitlement_id, ''), currency
