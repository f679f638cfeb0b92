"""The documents name files, headings and options that exist."""

import itertools
import re
import shlex
from importlib import import_module

import pytest
import typer

from automatum.cli.main import app
from automatum.core.defaults import DEFAULT_DATABASE, DEFAULT_DATASET
from tests.support import ROOT
from tests.support.pages import PAGES, TEXTS, blocks

GROUP = typer.main.get_command(app)
BASES = ("", "sources/automatum/", "sources/", "tests/")
WRITTEN_AT_RUN_TIME = {"notebooks/marketplace.duckdb"}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
FOLDERS = ("sources", "tests", "benchmarks", "pipelines", "notebooks", ".github", ".ci", ".dlt")
SUFFIXES = {".py", ".ipynb", ".yml", ".toml", ".example", ".service", ".timer", ".mplstyle", ""}
OTHERS = sorted(
    path
    for path in [
        *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*")),
        *(ROOT / name for name in ("Makefile", "pyproject.toml", ".pre-commit-config.yaml")),
    ]
    if path.is_file() and path.suffix in SUFFIXES
)
"""Everything that mentions documents beside the documents: code, comments, messages, workflows, notebooks."""


def anchors(page):
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", TEXTS[page]):
        name, _, anchor = target.partition("#")
        linked = page.parent / name if name else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_the_documents_can_be_read_in_an_afternoon():
    """The budget is 20,000 words (design, §0); the paths of users 9,000, a first sync 3,500."""
    words = {page: len(page.read_text(encoding="utf-8").split()) for page in PAGES if "docs" in page.parts}
    words[ROOT / "README.md"] = len((ROOT / "README.md").read_text(encoding="utf-8").split())
    names = ("start", "metering", "operate", "metering-operations", "analyse")
    assert sum(words.values()) <= 20_000
    assert sum(words[ROOT / f"docs/{name}.md"] for name in names) <= 9_000
    assert words[ROOT / "README.md"] + words[ROOT / "docs/start.md"] <= 3_500


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_headings_differ_so_that_links_to_them_are_clear(page):
    text = re.sub(r"^```.*?^```", "", TEXTS[page], flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert sorted(set(headings)) == sorted(headings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_are_those_of_the_field(page):
    """The words of `docs/internals/architecture.md`, and none that an earlier version had in their place."""
    assert not re.findall(r"\b(?:burial|chronicle|held|told|stand-in|rooms?|floors)\b", TEXTS[page], re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page):
    """A bar inside of code ends a cell, unless it is escaped."""
    for table in re.findall(r"(?:^\|.*\n)+", TEXTS[page], re.MULTILINE):
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert set(cells) == {cells[0]}, table.splitlines()[next(at for at, n in enumerate(cells) if n != cells[0])]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    text = TEXTS[page]
    named = set(re.findall(r"(?<![\w/.])(?:sources|tests|benchmarks|pipelines|notebooks|docs)/[\w./-]*\w", text))
    named |= set(re.findall(r"(?<![\w/.])[a-z_]+/(?:[\w]+/)*\w+\.py\b", text))
    missing = [name for name in named if not any((ROOT / base / name).exists() for base in BASES)]
    assert set(missing) <= WRITTEN_AT_RUN_TIME


def test_documents_that_code_and_comments_name_exist():
    for path in OTHERS:
        text = path.read_text(encoding="utf-8")
        for name, anchor in re.findall(r"\b(docs/[\w/-]+\.(?:md|yaml))(?:#([\w-]+))?", text):
            assert (ROOT / name).exists(), (path, name)
            assert not anchor or anchor in anchors(ROOT / name), (path, name, anchor)


def test_paths_that_code_and_comments_name_exist():
    folders = "automatum|automatum_sandbox|sources|tests|benchmarks|pipelines|notebooks"
    absolute = re.compile(rf"(?<![\w/.*{{])(?:{folders})/[\w./-]*\w\.(?:py|ipynb|example)\b")
    relative = re.compile(r"`([a-z_]+/(?:\w+/)*\w+\.py)`")
    for path in OTHERS:
        text = path.read_text(encoding="utf-8")
        named = {*absolute.findall(text), *relative.findall(text)}
        missing = {name for name in named if not any((ROOT / base / name).exists() for base in (*BASES, "benchmarks/"))}
        assert missing == set(), path


def test_make_targets_that_code_and_comments_name_exist():
    for path in OTHERS:
        named = set(re.findall(r"(?:`|run: )make ([a-z-]+)", path.read_text(encoding="utf-8")))
        assert named <= TARGETS, (path, named - TARGETS)
    assert sum("docs/" in path.read_text(encoding="utf-8") for path in OTHERS) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_exist(page):
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXTS[page], re.MULTILINE)) <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_imports_from_the_package_exist(page):
    for module, names in re.findall(r"^from (automatum[\w.]*) import ([\w, ]+)$", TEXTS[page], re.MULTILINE):
        for name in names.split(", "):
            assert getattr(import_module(module), name), (module, name)


EXAMPLES = [
    *PAGES,
    *sorted((ROOT / "pipelines").rglob("*.py")),
    *sorted((ROOT / "notebooks").glob("*.ipynb")),
    *(ROOT / "sources").glob("automatum*.py"),
    ROOT / "sources" / "automatum" / "__init__.py",
]


def pipelines_in(text):
    """The arguments of each `dlt.pipeline` call that names a dataset."""
    return re.findall(r"dlt\.pipeline\(\s*(.*?dataset_name.*?)\s*\)(?:\n|\.run)", text.replace('\\"', '"'))


def targets_in(text):
    """The DuckDB file of each `Target(...).pipeline()`."""
    return re.findall(r'Target\(database=Path\("([^"]+)"\)\)\.pipeline\(\)', text.replace('\\"', '"'))


@pytest.mark.parametrize("page", EXAMPLES, ids=lambda page: page.name)
def test_pipelines_load_to_the_file_and_dataset_of_the_command_line(page):
    """With the destination "duckdb", dlt names the file after the pipeline, in the folder of its first run."""
    text = page.read_text(encoding="utf-8")
    for arguments in pipelines_in(text):
        assert f'dataset_name="{DEFAULT_DATASET}"' in arguments, arguments
        assert "duckdb(" not in arguments, f"{arguments}: dlt resolves the path against the folder of the first run"
        if 'destination="duckdb"' in arguments:
            assert f'"{DEFAULT_DATABASE.stem}"' in arguments.partition(",")[0], arguments
            assert "pipelines_dir" in arguments, arguments
    assert set(targets_in(text)) <= {DEFAULT_DATABASE.name}


def test_the_examples_have_pipelines():
    texts = [page.read_text(encoding="utf-8") for page in EXAMPLES]
    assert sum(len(pipelines_in(text)) for text in texts) >= 2
    assert sum(len(targets_in(text)) for text in texts) >= 4


def typed_commands(page):
    """The `automatum` commands in the shell blocks of a page, as words."""
    lines = [line.strip() for block in blocks(page, "sh") for line in block.replace("\\\n", " ").splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if line.startswith("automatum ")]
    ends = {"|", ">", ">>", "&&", ";", "2>&1"}
    return [list(itertools.takewhile(lambda word: word not in ends, one)) for one in words]


def parse(group, words, parent=None):
    """Parse arguments as the command line does, without running the command."""
    command = group.commands[words[0]]
    if words[1:] and words[1] in getattr(command, "commands", {}):
        parse(command, words[1:], parent)
    else:
        command.make_context(words[0], words[1:], parent=parent)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_have_options_that_exist(page):
    for _, *words in typed_commands(page):
        if words != ["--version"]:
            parse(GROUP, words)


def test_the_pages_have_commands():
    assert sum(len(typed_commands(page)) for page in PAGES) > 40
