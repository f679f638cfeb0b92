"""The connector's own tables are as they are written and read."""

from automatum.api.request_stats import STATS_COLUMNS
from automatum.schema.log_tables import SWEEPS, log_tables
from automatum.schema.tables import OWNER


def test_the_figures_of_a_sweep_are_those_of_its_requests():
    """`schema` is below `api`, so the names are written in both."""
    stats = [column for column in SWEEPS.columns if column.name in STATS_COLUMNS]
    assert tuple(column.name for column in stats) == STATS_COLUMNS
    assert {column.type for column in stats} == {"bigint"}


def test_with_several_organizations_the_organization_comes_first_and_is_part_of_the_key():
    for table, made in zip(log_tables(), log_tables(by_organization=True), strict=True):
        assert made.columns == (OWNER, *table.columns)
        assert made.key == ("organization_id", *table.key)
        assert made.merge_key == ()
