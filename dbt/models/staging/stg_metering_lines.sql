{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  COALESCE(m.organization_id, o.organization_id) AS organization_id,
  m.line_id,
  COALESCE(m.vendor, 'unknown') AS vendor,
  m.listing_id, m.customer_id, m.dimension, m.entitlement_id, m.grain, m.starts_at, m.day,
  COALESCE(m.currency, 'unknown') AS currency,
  m.state, m.why, m.error, m.asked_units, m.asked_amount, m.accepted_units, m.accepted_amount, m.carried_units,
  m.carried_amount, m.open_units, m.open_amount, m.carried_from, m.source, m.first_seen_at, m.sent_at, m.settled_at
FROM {{ automatum_table('metering_lines') }} AS m
CROSS JOIN {{ ref('int_organization') }} AS o
