"""A run changes files of its own user only, and follows no link to them (O3, O6, O9)."""

import os

import pytest

from automatum.core.errors import ConfigurationError
from automatum.core.private_files import check_own, replace_own


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "folder"
    made.mkdir()
    return made


def test_a_new_file_is_private_and_a_replaced_one_has_the_new_content(folder):
    path = folder / "file"
    replace_own(path, b"old")
    assert path.stat().st_mode & 0o777 == 0o600
    replace_own(path, b"new", 0o644)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o644)
    assert [one.name for one in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("open_", [check_own, lambda path: replace_own(path, b"")])
@pytest.mark.parametrize("kind", ["link", "dangling", "pipe", "folder", "another user's"])
def test_what_is_not_ours_is_refused_and_not_changed(folder, monkeypatch, open_, kind):
    path, other = folder / "file", folder / "other"
    other.write_text("kept")
    if kind == "link":
        path.symlink_to(other)
    elif kind == "dangling":
        path.symlink_to(folder / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_text("kept")
        owner = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigurationError, match="another user" if kind == "another user's" else "link"):
        open_(path)
    assert other.read_text() == "kept"
    assert sorted(one.name for one in folder.iterdir()) == ["file", "other"]
