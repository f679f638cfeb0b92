{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  valid_from,
  currency,
  reporting_currency,
  CAST(rate AS DECIMAL(18, 9)) AS rate,
  LEAD(valid_from) OVER (PARTITION BY currency, reporting_currency ORDER BY valid_from) AS valid_until
FROM {{ ref('exchange_rates') }} AS exchange_rates
