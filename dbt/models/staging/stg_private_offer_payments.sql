{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  p.organization_id,
  s.private_offer_id,
  s.position,
  s.date AS due_on,
  s.amount,
  COALESCE(s.currency, p.currency) AS currency
FROM {{ automatum_table('private_offer_payments') }} AS s
JOIN {{ ref('stg_private_offers') }} AS p
  ON p.private_offer_id = s.private_offer_id
  AND (s.organization_id IS NULL OR s.organization_id = p.organization_id)
WHERE s._deleted_at IS NULL AND NOT COALESCE(s._removed, FALSE)
