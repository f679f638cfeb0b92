"""A destination that a user has changed by hand is compared as it is: mended, or refused by name (S9, S11)."""

import pytest

from tests.support.changed_site import PLACE_NAMES, ChangedSite

ROWS = 12


@pytest.fixture(params=PLACE_NAMES)
def site(request, tmp_path):
    with ChangedSite(tmp_path, request.param) as made:
        made.serve(customers=ROWS, entitlements=ROWS)
        yield made
    made.place.close()


@pytest.mark.parametrize(
    ("table", "change", "column"),
    [
        ("entitlements", "ALTER COLUMN value TYPE DECIMAL(12, 2)", "value"),
        ("entitlements", "ALTER COLUMN expires_at TYPE TIMESTAMP", "expires_at"),
        ("entitlements", "ALTER COLUMN auto_renew TYPE TEXT", "auto_renew"),
        ("entitlement_dimensions", "ALTER COLUMN price TYPE DOUBLE PRECISION", "price"),
    ],
)
def test_a_column_of_another_type_is_refused_by_name_until_it_is_dropped_i1(site, table, change, column):
    assert site.sync().code == 0
    before = site.values(table, column)
    site.change(f"ALTER TABLE automatum.{table} {change}")
    site.served.sandbox.rows.insert("customers", {})
    site.served.sandbox.rows.insert("entitlements", {})
    ran = site.sync()
    (error,) = ran.summary.errors
    assert ran.code == 78 and error.key == f"{table}.{column}" and "DROP COLUMN" in error.next_step
    assert ran.counts("customers")[0] == 1, "the other tables are synced"
    assert len(site.place.rows("entitlements")) == ROWS
    site.change(f"ALTER TABLE automatum.{table} DROP COLUMN {column}")
    again = site.sync()
    assert again.code == 0 and again.counts("entitlements")[:2] == (1, ROWS)
    assert set(before) <= set(site.values(table, column))
    assert site.sync().counts("entitlements") == (0, 0, 0, ROWS + 1)


def test_a_wider_type_is_no_other_type(site):
    site.sync("entitlements")
    site.change("ALTER TABLE automatum.entitlement_dimensions ALTER COLUMN position TYPE BIGINT")
    assert site.sync("entitlements").counts("entitlements") == (0, 0, 0, ROWS)


def test_a_dropped_column_is_filled_in_every_row_also_if_the_first_run_ends_early_i1(site):
    site.serve(customers=250)
    site.sync("customers")
    before = site.values("customers", "id", "email")
    site.change("ALTER TABLE automatum.customers DROP COLUMN email")
    assert site.sync("customers", max_requests=1).code == 75
    assert site.sync("customers").code == 0
    assert site.values("customers", "id", "email") == before


def test_two_rows_of_one_key_are_named_and_become_one_i1(site, caplog):
    site.sync("customers")
    (twice, *_) = site.served.sandbox.rows.ids("customers")
    site.change(f"INSERT INTO automatum.customers SELECT * FROM automatum.customers WHERE id = '{twice}'")
    assert len(site.place.rows("customers")) == ROWS + 1
    ran = site.sync("customers")
    assert ran.code == 0 and ran.counts("customers")[1] == 1
    assert f"customers has several rows of 1 key, which are loaded again: {twice}" in caplog.text
    assert len(site.place.rows("customers")) == ROWS
