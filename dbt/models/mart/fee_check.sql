{# Generated from models/ by `make dbt-models`: change it there. #}
WITH fitting AS (
  SELECT
    r.organization_id,
    r.revenue_id,
    f.percent,
    ROW_NUMBER() OVER (
      PARTITION BY r.organization_id, r.revenue_id
      ORDER BY
        CASE WHEN f.customer_id IS NULL THEN 1 ELSE 0 END,
        CASE WHEN f.listing_id IS NULL THEN 1 ELSE 0 END,
        CASE WHEN f.organization_id IS NULL THEN 1 ELSE 0 END,
        CASE WHEN f.vendor IS NULL THEN 1 ELSE 0 END,
        CASE WHEN f.currency IS NULL THEN 1 ELSE 0 END,
        COALESCE(f.valid_from, DATE '0001-01-01') DESC,
        f.percent
    ) AS place
  FROM {{ ref('stg_revenue') }} AS r
  JOIN {{ ref('stg_expected_fees') }} AS f
    ON (f.organization_id IS NULL OR f.organization_id = r.organization_id)
    AND (f.vendor IS NULL OR f.vendor = r.vendor)
    AND (f.listing_id IS NULL OR f.listing_id = r.listing_id)
    AND (f.customer_id IS NULL OR f.customer_id = r.customer_id)
    AND (f.currency IS NULL OR f.currency = r.currency)
    AND (f.valid_from IS NULL OR f.valid_from <= r.day)
    AND (f.valid_to IS NULL OR f.valid_to >= r.day)
),
sums AS (
  SELECT
    r.organization_id,
    CAST(DATE_TRUNC('month', r.day) AS DATE) AS month,
    r.vendor,
    r.listing_id,
    r.currency,
    f.percent,
    SUM(r.gross) AS gross,
    SUM(r.fee) AS fee,
    SUM(r.gross * f.percent * 0.01) AS expected_fee,
    COUNT(*) AS revenue_rows
  FROM {{ ref('stg_revenue') }} AS r
  LEFT JOIN fitting AS f ON f.place = 1 AND f.organization_id = r.organization_id AND f.revenue_id = r.revenue_id
  WHERE r.gross IS NOT NULL AND r.fee IS NOT NULL
  GROUP BY r.organization_id, CAST(DATE_TRUNC('month', r.day) AS DATE), r.vendor, r.listing_id, r.currency, f.percent
)
SELECT
  m.organization_id,
  m.month,
  m.vendor,
  m.listing_id,
  m.currency,
  m.percent AS expected_percent,
  CASE
    WHEN m.gross <> 0 THEN CAST(
      SIGN(m.fee) * SIGN(m.gross) * (
        {{ integer_division() }}(
          (CAST(ABS(m.fee) * 1000000000 AS {{ wide_integer() }}) * 2000000 + CAST(ABS(m.gross) * 1000000000 AS {{ wide_integer() }})),
          (CAST(ABS(m.gross) * 1000000000 AS {{ wide_integer() }}) * 2)
        )
      ) AS DECIMAL(30, 0)
    ) * 0.0001
  END AS fee_percent,
  m.gross,
  m.fee,
  m.expected_fee,
  m.fee - m.expected_fee AS difference,
  m.revenue_rows,
  CASE
    WHEN m.percent IS NULL THEN 'no expected fee'
    WHEN m.fee - m.expected_fee > s.fee_tolerance * m.revenue_rows THEN 'too high'
    WHEN m.expected_fee - m.fee > s.fee_tolerance * m.revenue_rows THEN 'too low'
    ELSE 'as expected'
  END AS verdict
FROM sums AS m
CROSS JOIN {{ ref('model_settings') }} AS s
