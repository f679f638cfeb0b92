{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  organization_id,
  vendor,
  listing_id,
  customer_id,
  currency,
  valid_from,
  valid_to,
  CAST(percent AS DECIMAL(9, 6)) AS percent
FROM {{ ref('expected_fees') }} AS expected_fees
