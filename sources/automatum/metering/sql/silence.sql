-- Since when a customer's dimension has no usage. An outage of your metering looks like this.
SELECT {organization}vendor, customer_id, listing_id, dimension, COUNT(*) AS lines, MAX(starts_at) AS last_at,
  CAST(FLOOR(EXTRACT(EPOCH FROM (CURRENT_TIMESTAMP - MAX(starts_at))) / 3600) AS BIGINT) AS silent_hours
FROM {lines}
WHERE carried_from IS NULL
GROUP BY {organization}vendor, customer_id, listing_id, dimension
