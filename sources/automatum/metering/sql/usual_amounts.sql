-- What the API usually takes of all dimensions of a customer together: the lower median of its hours or days.
SELECT vendor, customer_id, currency, PERCENTILE_DISC(0.5) WITHIN GROUP (ORDER BY amount)
FROM (
  SELECT vendor, customer_id, currency, starts_at, SUM(accepted_amount) AS amount
  FROM metering_lines
  WHERE grain = ? AND carried_from IS NULL
  GROUP BY vendor, customer_id, currency, starts_at
) AS hours
WHERE amount > 0
GROUP BY vendor, customer_id, currency
HAVING COUNT(*) >= ?
