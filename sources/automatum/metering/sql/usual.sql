-- What the API usually takes of a customer's dimension: the lower median of its last 30 lines.
SELECT {organization}vendor, customer_id, listing_id, dimension, grain, currency, COUNT(*) AS lines,
  PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY accepted_units) AS median_units,
  PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY accepted_amount) AS median_amount
FROM (
  SELECT {organization}vendor, customer_id, listing_id, dimension, grain, currency, accepted_units, accepted_amount,
    ROW_NUMBER() OVER (PARTITION BY {organization}vendor, customer_id, listing_id, dimension, grain, currency ORDER BY starts_at DESC) AS place
  FROM {lines}
  WHERE state IN ('accepted', 'confirmed') AND accepted_units > 0 AND carried_from IS NULL
) AS latest
WHERE place <= 30
GROUP BY {organization}vendor, customer_id, listing_id, dimension, grain, currency
