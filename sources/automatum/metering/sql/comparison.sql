-- What the API took, beside what the marketplace reports, by the columns that both have; the differences only.
SELECT {keys}, COALESCE(our_units, 0) AS our_units, COALESCE(their_units, 0) AS their_units,
  COALESCE(their_units, 0) - COALESCE(our_units, 0) AS difference,
  COALESCE(our_amount, 0) AS our_amount, COALESCE(their_amount, 0) AS their_amount
FROM (
  SELECT {keys}, SUM(accepted_units + confirmed_units) AS our_units, SUM(accepted_amount + confirmed_amount) AS our_amount
  FROM metering_statement GROUP BY ALL
) AS ours
FULL JOIN (SELECT {keys}, SUM(units) AS their_units, SUM(amount) AS their_amount FROM report GROUP BY ALL) AS theirs
USING ({keys})
WHERE COALESCE(our_units, 0) <> COALESCE(their_units, 0)
  OR ({amounts} AND COALESCE(our_amount, 0) <> COALESCE(their_amount, 0))
ORDER BY ALL
