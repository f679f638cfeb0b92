-- Which entitlements does the API list? A row is the right of one customer to use one listing for one term.
-- value: of the whole term, in currency, before the fee of the marketplace. A currency that is not known is `unknown`.
SELECT
  COALESCE(e.organization_id, o.organization_id) AS organization_id,
  e.id AS entitlement_id,
  e.customer_id,
  COALESCE(e.vendor, 'unknown') AS vendor,
  e.listing_id,
  e.product_name,
  e.plan_id,
  e.status,
  e.start_date,
  e.end_date,
  e.expires_at,
  e.auto_renew,
  e.private_offer_id,
  e.value,
  COALESCE(e.currency, 'unknown') AS currency,
  e.created_at,
  e.updated_at
FROM entitlements AS e
CROSS JOIN int_organization AS o
WHERE e._deleted_at IS NULL
