"""The documents name files, headings and options that exist."""

import re
from importlib import import_module

import pytest

from tests.support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BASES = ("", "sources/automatum/", "sources/", "tests/")
WRITTEN_AT_RUN_TIME = {"notebooks/marketplace.duckdb"}


def anchors(page):
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.])(?:sources|tests|benchmarks|pipelines|notebooks|docs)/[\w./-]*\w", text))
    named |= set(re.findall(r"(?<![\w/.])[a-z_]+/(?:[\w]+/)*\w+\.py\b", text))
    missing = [name for name in named if not any((ROOT / base / name).exists() for base in BASES)]
    assert set(missing) <= WRITTEN_AT_RUN_TIME


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_from_the_package_exist(page):
    text = page.read_text(encoding="utf-8")
    for module, names in re.findall(r"^from (automatum[\w.]*) import ([\w, ]+)$", text, re.MULTILINE):
        for name in names.split(", "):
            assert getattr(import_module(module), name), (module, name)
