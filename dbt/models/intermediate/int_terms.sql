{# Generated from models/ by `make dbt-models`: change it there. #}
WITH every AS (
  SELECT
    organization_id, entitlement_id, customer_id, vendor, listing_id, product_name, status, start_date, end_date,
    expires_at, auto_renew, private_offer_id, value, currency, updated_at, FALSE AS deleted, 'current' AS kind,
    DATE '0001-01-01' AS known_from, CAST(NULL AS DATE) AS known_until
  FROM {{ ref('stg_entitlements') }} AS stg_entitlements
  UNION ALL
  SELECT
    organization_id, entitlement_id, customer_id, vendor, listing_id, product_name, status, start_date, end_date,
    expires_at, auto_renew, private_offer_id, value, currency, updated_at, deleted, 'version' AS kind,
    CASE
      WHEN earlier_from IS NULL THEN DATE '0001-01-01'
      ELSE DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM valid_from) / 86400) AS INT)
    END AS known_from,
    DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM valid_to) / 86400) AS INT) AS known_until
  FROM {{ ref('stg_entitlement_versions') }} AS stg_entitlement_versions
),
dated AS (
  SELECT
    e.*,
    COALESCE(
      e.end_date,
      DATE '1970-01-01' + CAST(FLOOR((EXTRACT(EPOCH FROM e.expires_at) - 1) / 86400) AS INT)
    ) AS agreed_end,
    DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM e.updated_at) / 86400) AS INT) AS changed_on,
    POSITION(',' || COALESCE(e.status, '') || ',' IN ',' || s.counted_statuses || ',') > 0 AS counted,
    POSITION(',' || COALESCE(e.status, '') || ',' IN ',' || s.ended_statuses || ',') > 0 AS ended,
    s.annual_days
  FROM every AS e
  CROSS JOIN {{ ref('model_settings') }} AS s
),
terms AS (
  SELECT
    d.*,
    CASE
      WHEN d.ended AND (d.agreed_end IS NULL OR d.changed_on < d.agreed_end) THEN d.changed_on
      ELSE d.agreed_end
    END AS ends_on,
    COALESCE(d.agreed_end, CASE WHEN d.ended THEN d.changed_on END) - d.start_date + 1 AS days
  FROM dated AS d
)
SELECT
  t.organization_id,
  t.kind,
  t.entitlement_id,
  t.customer_id,
  t.vendor,
  t.listing_id,
  t.product_name,
  t.status,
  t.auto_renew,
  t.private_offer_id,
  t.start_date AS starts_on,
  t.agreed_end,
  COALESCE(t.ends_on, t.agreed_end) AS ends_on,
  t.value,
  t.currency,
  t.counted,
  CASE
    WHEN t.counted AND t.days > 0 THEN CAST(
      SIGN(t.value) * (
        {{ integer_division() }}(
          (CAST(ABS(t.value) * 1000000000 AS {{ wide_integer() }}) * CAST(t.annual_days AS {{ wide_integer() }}) * 2 + CAST(t.days AS {{ wide_integer() }}) * 10000000),
          (CAST(t.days AS {{ wide_integer() }}) * 20000000)
        )
      ) AS DECIMAL(36, 0)
    ) * 0.01
  END AS annual_value,
  t.deleted,
  t.known_from,
  t.known_until
FROM terms AS t
