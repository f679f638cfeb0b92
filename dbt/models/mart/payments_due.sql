{# Generated from models/ by `make dbt-models`: change it there. #}
WITH ends AS (
  SELECT organization_id, private_offer_id, MAX(ends_on) AS last_day
  FROM {{ ref('int_contracts') }} AS int_contracts
  WHERE private_offer_id IS NOT NULL
  GROUP BY organization_id, private_offer_id
  HAVING COUNT(*) = COUNT(ends_on)
)
SELECT
  p.organization_id,
  p.private_offer_id,
  y.position,
  y.due_on,
  CAST(DATE_TRUNC('month', y.due_on) AS DATE) AS month,
  y.due_on - s.today AS days_left,
  y.due_on < s.today AS is_over,
  COALESCE(e.last_day < y.due_on, FALSE) AS ended_before,
  y.amount,
  y.currency,
  p.name,
  p.customer_id,
  COALESCE(k.company_name, p.company_name) AS company_name,
  p.vendor,
  p.listing_id,
  p.billing_term
FROM {{ ref('stg_private_offer_payments') }} AS y
JOIN {{ ref('stg_private_offers') }} AS p ON p.organization_id = y.organization_id AND p.private_offer_id = y.private_offer_id
CROSS JOIN {{ ref('model_settings') }} AS s
LEFT JOIN ends AS e ON e.organization_id = p.organization_id AND e.private_offer_id = p.private_offer_id
LEFT JOIN {{ ref('stg_customers') }} AS k ON k.organization_id = p.organization_id AND k.customer_id = p.customer_id
WHERE POSITION(',' || COALESCE(p.status, '') || ',' IN ',' || s.accepted_offer_statuses || ',') > 0
  AND p.cancelled_at IS NULL
