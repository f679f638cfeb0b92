{# Generated from models/ by `make dbt-models`: change it there. #}
WITH stretches AS (
  SELECT
    t.organization_id,
    t.entitlement_id,
    t.customer_id,
    t.vendor,
    t.currency,
    t.annual_value,
    GREATEST(t.starts_on, t.known_from) AS from_day,
    CASE
      WHEN t.ends_on = c.ends_on AND c.successor_starts_on > c.ends_on THEN c.successor_starts_on - 1
      ELSE t.ends_on
    END AS last_day,
    t.known_until
  FROM {{ ref('int_terms') }} AS t
  LEFT JOIN {{ ref('int_history') }} AS h ON h.organization_id = t.organization_id
  LEFT JOIN {{ ref('int_contracts') }} AS c ON c.organization_id = t.organization_id AND c.entitlement_id = t.entitlement_id
  WHERE t.annual_value IS NOT NULL
    AND NOT t.deleted
    AND t.kind = CASE WHEN h.organization_id IS NULL THEN 'current' ELSE 'version' END
),
cut AS (
  SELECT
    organization_id, entitlement_id, customer_id, vendor, currency, annual_value, from_day,
    CASE WHEN known_until <= last_day THEN known_until - 1 ELSE last_day END AS to_day
  FROM stretches
)
SELECT organization_id, entitlement_id, customer_id, vendor, currency, annual_value, from_day, to_day
FROM cut
WHERE from_day <= to_day
