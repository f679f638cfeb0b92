"""I8: an id of thousands of digits is a key like any other. Python refuses to write such an integer as text."""

from datetime import datetime, timezone

import pytest

from automatum.api.exact_json import parse_json
from automatum.endpoints import CUSTOMERS
from automatum.schema.arrow_tables import Table
from automatum.schema.records import Rows

DIGITS = "7" * 5000


@pytest.mark.parametrize("text", [DIGITS, f"-{DIGITS}", f'"{DIGITS}"', f"0.{DIGITS}"])
def test_an_id_of_5000_digits_is_kept_exactly(text):
    record = parse_json(f'{{"id":{text}}}'.encode())
    table = Table(CUSTOMERS)
    (key,) = table.keys([record])
    rows = Rows([key], table.identify([record]).hashes, [record], datetime(2026, 1, 1, tzinfo=timezone.utc))
    (_, made), *_ = table.arrow([rows])
    assert made["id"].to_pylist() == [key] == [text.strip('"')]
