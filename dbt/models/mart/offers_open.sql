{# Generated from models/ by `make dbt-models`: change it there. #}
WITH dated AS (
  SELECT
    p.*,
    CASE
      WHEN p.status = 'viewed' AND p.viewed_at IS NOT NULL THEN 'viewed_at'
      WHEN p.status = 'sent' AND p.sent_at IS NOT NULL THEN 'sent_at'
      WHEN p.status IN ('draft', 'created', 'pending') AND p.created_at IS NOT NULL THEN 'created_at'
      WHEN p.updated_at IS NOT NULL THEN 'updated_at'
    END AS since_basis
  FROM {{ ref('stg_private_offers') }} AS p
),
since AS (
  SELECT
    d.*,
    DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM
      CASE d.since_basis
        WHEN 'viewed_at' THEN d.viewed_at
        WHEN 'sent_at' THEN d.sent_at
        WHEN 'created_at' THEN d.created_at
        ELSE d.updated_at
      END
    ) / 86400) AS INT) AS in_state_since
  FROM dated AS d
)
SELECT
  p.organization_id,
  p.private_offer_id,
  p.name,
  p.customer_id,
  COALESCE(k.company_name, p.company_name) AS company_name,
  p.vendor,
  p.listing_id,
  p.status,
  p.is_renewal,
  p.created_by,
  p.in_state_since,
  p.since_basis,
  s.today - p.in_state_since AS days_in_state,
  p.expires_on,
  p.expires_on - s.today AS days_to_accept,
  COALESCE(s.today - p.in_state_since > s.hanging_days OR p.expires_on < s.today, FALSE) AS hangs,
  p.total_contract_value,
  p.currency,
  p.start_date AS starts_on,
  p.end_date AS ends_on
FROM since AS p
CROSS JOIN {{ ref('model_settings') }} AS s
LEFT JOIN {{ ref('stg_customers') }} AS k ON k.organization_id = p.organization_id AND k.customer_id = p.customer_id
WHERE POSITION(',' || COALESCE(p.status, '') || ',' IN ',' || s.open_offer_statuses || ',') > 0
