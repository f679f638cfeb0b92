{# Generated from models/ by `make dbt-models`: change it there. #}
WITH terms AS (SELECT * FROM {{ ref('int_terms') }} AS int_terms WHERE kind = 'current'),
pairs AS (
  SELECT
    t.organization_id,
    t.entitlement_id,
    n.entitlement_id AS successor_id,
    n.starts_on AS successor_starts_on,
    n.value AS successor_value,
    n.currency AS successor_currency,
    n.annual_value AS successor_annual_value,
    ROW_NUMBER() OVER (PARTITION BY t.organization_id, t.entitlement_id ORDER BY n.starts_on, n.entitlement_id) AS place
  FROM terms AS t
  CROSS JOIN {{ ref('model_settings') }} AS s
  JOIN terms AS n
    ON n.organization_id = t.organization_id
    AND n.customer_id = t.customer_id
    AND n.vendor = t.vendor
    AND n.listing_id = t.listing_id
    AND n.starts_on > t.starts_on
    AND n.ends_on > t.ends_on
    AND n.starts_on <= t.ends_on + 1 + s.renewal_gap_days
    AND n.starts_on <= n.ends_on
  WHERE n.counted
),
first_pairs AS (SELECT * FROM pairs WHERE place = 1),
renewals AS (SELECT DISTINCT organization_id, successor_id FROM first_pairs)
SELECT
  t.organization_id,
  t.entitlement_id,
  t.customer_id,
  t.vendor,
  t.listing_id,
  t.product_name,
  t.status,
  t.auto_renew,
  t.private_offer_id,
  t.starts_on,
  t.ends_on,
  t.value,
  t.currency,
  t.counted,
  t.annual_value,
  p.successor_id,
  p.successor_starts_on,
  p.successor_value,
  p.successor_currency,
  p.successor_annual_value,
  r.successor_id IS NOT NULL AS is_renewal
FROM terms AS t
LEFT JOIN first_pairs AS p ON p.organization_id = t.organization_id AND p.entitlement_id = t.entitlement_id
LEFT JOIN renewals AS r ON r.organization_id = t.organization_id AND r.successor_id = t.entitlement_id
