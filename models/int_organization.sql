-- Which organization do tables belong to that name none? The one of a dataset of a single organization, or an empty text.
-- In a dataset of several organizations every row names its own.
SELECT COALESCE(MIN(organization_id), '') AS organization_id
FROM (
  SELECT organization_id FROM customers
  UNION ALL
  SELECT organization_id FROM entitlements
  UNION ALL
  SELECT organization_id FROM private_offers
) AS named
