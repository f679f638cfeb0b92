{# Generated from models/ by `make dbt-models`: change it there. #}
SELECT
  {% if var('today', '') %}DATE '{{ var('today') }}'{% else %}DATE '1970-01-01' + CAST(FLOOR(EXTRACT(EPOCH FROM CURRENT_TIMESTAMP) / 86400) AS INT){% endif %} AS today,
  '{{ var('counted_statuses', 'active,suspended,pending,expired,cancelled') }}' AS counted_statuses,
  '{{ var('active_statuses', 'active') }}' AS active_statuses,
  '{{ var('ended_statuses', 'cancelled') }}' AS ended_statuses,
  '{{ var('open_offer_statuses', 'draft,created,pending,sent,viewed') }}' AS open_offer_statuses,
  '{{ var('accepted_offer_statuses', 'accepted') }}' AS accepted_offer_statuses,
  {{ var('annual_days', 365) }} AS annual_days,
  {{ var('renewal_gap_days', 30) }} AS renewal_gap_days,
  {{ var('retention_months', 12) }} AS retention_months,
  {{ var('horizon_days', 180) }} AS horizon_days,
  {{ var('hanging_days', 14) }} AS hanging_days,
  {{ var('restatement_days', 35) }} AS restatement_days,
  CAST('{{ var('fee_tolerance', '0.005') }}' AS DECIMAL(18, 9)) AS fee_tolerance,
  '{{ var('reporting_currency', '') }}' AS reporting_currency
