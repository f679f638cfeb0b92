"""I9: files beside dlt's working folder that the connector did not write, or that are damaged, end no run."""

import json
import zipfile

import pytest

from automatum.warehouse.packages import list_set_aside

WHY = {"at": 1.0, "table": None, "reason": "a value does not fit"}


def put(folder, load_id, why):
    with zipfile.ZipFile(folder / f"automatum.set-aside.{load_id}.zip", "w") as archive:
        archive.writestr("why.json", json.dumps(why))


@pytest.mark.parametrize("why", [[], "text", {}, {**WHY, "at": None}, {**WHY, "at": "later"}])
def test_a_package_whose_note_is_odd_is_left_out_i9(tmp_path, why):
    put(tmp_path, "1.0", WHY)
    put(tmp_path, "2.0", why)
    assert [one.load_id for one in list_set_aside(tmp_path / "automatum")] == ["1.0"]


def test_a_file_that_is_no_archive_is_left_out_i9(tmp_path):
    (tmp_path / "automatum.set-aside.1.0.zip").write_text("text")
    assert list_set_aside(tmp_path / "automatum") == []
