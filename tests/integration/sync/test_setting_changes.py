"""Settings that change between two syncs: no hint of the earlier setting is left in the stored schema."""

import pytest

from tests.support.syncing import Site, with_dimensions


@pytest.fixture
def site(tmp_path):
    with Site(tmp_path) as made:
        yield made


@pytest.mark.slow
def test_soft_after_hard_marks_rows_instead_of_removing_them(site):
    """I2: the stored schema keeps `hard_delete` unless the next sync takes it back."""
    sandbox = site.serve(entitlements=30)
    first, second, third = with_dimensions(sandbox)[:3]
    site.sync("entitlements")
    for deletes, id_ in (("hard", first), ("soft", second), ("hard", third)):
        sandbox.rows.delete("entitlements", id_)
        assert site.sync("entitlements", deletes=deletes).code == 0
        assert site.broken() == {}
    assert site.dead("entitlements") == {second}
    assert site.dead("entitlement_dimensions", "entitlement_id") == {second}
    assert site.live("entitlements") == set(sandbox.rows.ids("entitlements"))
