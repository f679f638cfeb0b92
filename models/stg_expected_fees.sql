-- Which fees do you expect? Your own table expected_fees: fill it by hand or from a file. `models` never drops it.
-- percent: of gross revenue, such as 3 for 3 %. A null elsewhere means any. Of several rows that fit a charge the one with
-- a customer counts, then with a listing, with an organization, with a marketplace, with a currency, then the latest valid_from.
SELECT
  organization_id,
  vendor,
  listing_id,
  customer_id,
  currency,
  valid_from,
  valid_to,
  CAST(percent AS DECIMAL(9, 6)) AS percent
FROM expected_fees
