"""The connector's own tables are as they are written and read."""

from automatum.schema.log_tables import log_tables
from automatum.schema.tables import OWNER


def test_with_several_organizations_the_organization_comes_first_and_is_part_of_the_key():
    for table, made in zip(log_tables(), log_tables(by_organization=True), strict=True):
        assert made.columns == (OWNER, *table.columns)
        assert made.key == ("organization_id", *table.key)
        assert made.merge_key == ()
