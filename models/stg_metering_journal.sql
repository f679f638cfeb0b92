-- What happened in the push besides calls? A row is a push, a refusal, an event or a decision. Open ones have no closed_at.
SELECT
  COALESCE(j.organization_id, o.organization_id) AS organization_id,
  j.item_id, j.kind, j.subject, j.source, j.reason, j.recorded_by, j.recorded_at, j.closed_at, j.closed_by,
  j.closed_reason
FROM metering_journal AS j
CROSS JOIN int_organization AS o
