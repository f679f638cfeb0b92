{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(h.organization_id, o.organization_id) AS organization_id,
  h.id AS entitlement_id,
  h.customer_id,
  COALESCE(h.vendor, 'unknown') AS vendor,
  h.listing_id,
  h.product_name,
  h.status,
  h.start_date,
  h.end_date,
  h.expires_at,
  h.auto_renew,
  h.private_offer_id,
  h.value,
  COALESCE(h.currency, 'unknown') AS currency,
  h.updated_at,
  h.deleted,
  h.valid_from,
  LAG(h.valid_from) OVER (PARTITION BY h.organization_id, h.id ORDER BY h.valid_from) AS earlier_from,
  LEAD(h.valid_from) OVER (PARTITION BY h.organization_id, h.id ORDER BY h.valid_from) AS valid_to
FROM {{ automatum_table('entitlements_history') }} AS h
CROSS JOIN {{ ref('int_organization') }} AS o
