-- At which rates do you convert? Your own table exchange_rates: fill it by hand or from a file. `models` never drops it.
-- One unit of currency is rate units of reporting_currency, from valid_from on until the next row of the pair.
SELECT
  valid_from,
  currency,
  reporting_currency,
  CAST(rate AS DECIMAL(18, 9)) AS rate,
  LEAD(valid_from) OVER (PARTITION BY currency, reporting_currency ORDER BY valid_from) AS valid_until
FROM exchange_rates
