"""I1, I2: what the records say of their organization."""

import pytest

from automatum.endpoints import ENDPOINTS
from automatum.schema.arrow_tables import Table


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.table)
@pytest.mark.parametrize("owner", [None, "acme"])
def test_every_record_may_name_its_organization_whatever_the_columns_of_its_table(endpoint, owner):
    table = Table(endpoint, owner)
    records = [{"organizationId": "org_a"}, {}, {"organizationId": None}, {"organizationId": ""}]
    assert table.organizations(records) == {"org_a"}
    assert table.organizations([{"organizationId": value} for value in ({}, [], True, 1.5, 7)]) == {"7"}
