"""The connector's own tables are as they are written and read."""

from automatum.api.request_stats import STATS_COLUMNS
from automatum.schema.log_tables import LOG_TABLES, STATS, SWEEPS
from automatum.schema.tables import OWNER, owned


def test_the_figures_of_a_sweep_are_those_of_its_requests():
    """`schema` is below `api`, so the names are written in both."""
    assert tuple(column.name for column in STATS) == STATS_COLUMNS
    assert {column.type for column in STATS} == {"bigint"}


def test_with_several_organizations_the_organization_comes_first_and_is_part_of_the_key():
    for table in LOG_TABLES:
        made = owned(table)
        assert made.columns == (OWNER, *table.columns)
        assert made.key == ("organization_id", *table.key)
    assert owned(SWEEPS).merge_key == ()
