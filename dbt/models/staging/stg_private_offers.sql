{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(p.organization_id, o.organization_id) AS organization_id,
  p.id AS private_offer_id, p.customer_id, p.listing_id,
  COALESCE(p.vendor, 'unknown') AS vendor,
  p.company_name, p.email, p.name, p.status, p.offer_type, p.offer_id, p.offer_url,
  COALESCE(
    p.expiration_date,
    DATE '1970-01-01' + CAST(FLOOR((EXTRACT(EPOCH FROM p.expires_at) - 1) / 86400) AS INT)
  ) AS expires_on,
  p.start_date, p.end_date, p.discount_type, p.discount_percentage, p.duration, p.billing_term,
  p.total_contract_value,
  COALESCE(p.currency, 'unknown') AS currency,
  p.replaces_offer_id, p.is_renewal, p.created_by, p.sent_at, p.viewed_at, p.accepted_at, p.cancelled_at,
  p.created_at, p.updated_at
FROM {{ automatum_table('private_offers') }} AS p
CROSS JOIN {{ ref('int_organization') }} AS o
WHERE p._deleted_at IS NULL
