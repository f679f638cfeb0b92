"""I1, I2: which records belong to another organization than the rows of the dataset."""

from itertools import combinations

import pytest

from automatum.endpoints import ENDPOINTS
from automatum.schema.arrow_tables import Table
from automatum.sync.organization_check import foreign_to, organization_of

IDS = ("org_a", "org_b", "org_c")
ANSWERS = [set(some) for count in range(1, 4) for some in combinations(IDS, count)]


@pytest.mark.parametrize("accepted", [None, *IDS])
@pytest.mark.parametrize("own", ["", *IDS])
def test_only_records_that_name_neither_the_own_nor_the_accepted_organization_are_foreign_i1_i2(own, accepted):
    for named in ANSWERS:
        foreign = foreign_to(own, named, accepted)
        assert bool(foreign) == (own != "" and own not in named and accepted not in named)
        if foreign:
            continue
        after = organization_of(own, named, accepted)
        assert after in named | {""}
        if own in named:
            assert after == own, "an accepted id changes nothing while the records name the known one"
        elif accepted in named:
            assert after == accepted
        else:
            assert after == ("" if len(named) > 1 else min(named)), "several organizations pin none of them"


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
@pytest.mark.parametrize("owner", [None, "acme"])
def test_every_record_may_name_its_organization_whatever_the_columns_of_its_table(endpoint, owner):
    table = Table(endpoint, owner)
    records = [{"organizationId": "org_a"}, {}, {"organizationId": None}, {"organizationId": ""}]
    assert table.organizations(records) == {"org_a"}
    assert table.organizations([{"organizationId": value} for value in ({}, [], True, 1.5, 7)]) == {"7"}
