"""Records without a key: their number, and the setting that is probably wrong."""

from datetime import datetime, timezone

from automatum.endpoints import ENTITLEMENTS, REVENUE
from automatum.schema.arrow_tables import Table
from automatum.sync.rejections import Rejections

NOW = datetime(2026, 11, 24, 9, tzinfo=timezone.utc)


def hint(endpoint, records):
    table, rejections = Table(endpoint), Rejections(Table(endpoint))
    found = table.identify(records)
    for id_, hash_, record in zip(found.keys, found.hashes, records, strict=True):
        rejections.add(id_, hash_, record, NOW)
    return rejections.key_hint(len(records))


def test_records_without_the_key_name_the_setting():
    found = hint(ENTITLEMENTS, [{"status": "x", "_id": n} for n in range(20)])
    assert "They lack the key (id)" in found
    assert "[sources.automatum.endpoints.entitlements]" in found


def test_a_report_names_its_key():
    found = hint(REVENUE, [{"amount": 1} for _ in range(20)])
    assert "They lack the key (date, period, vendor, listing_id, customer_id, currency)" in found


def test_a_few_records_without_a_key_are_faults_of_their_own():
    assert hint(ENTITLEMENTS, [{"_id": 1}] * 3) == ""


def test_a_record_that_is_read_again_is_one_rejection():
    """A page is read several times to prove a list."""
    rejections = Rejections(Table(ENTITLEMENTS))
    for _ in range(3):
        rejections.add("a", "", {"id": "a", "x": [[]]}, NOW, "too deep")
    assert rejections.failed == {"a"}
    (row,) = rejections.take(NOW).to_pylist()
    assert (row["rejection_id"], row["fields"], row["extra"]) == ("a", "id, x", None)
