"""The vendor's documented facts: `vendor_facts.md` names a test, or a reason, for each of the 87."""

import re
import subprocess
from pathlib import Path

import pytest

from automatum_sandbox import Sandbox, SandboxConfig
from tests.support import ROOT

_FACTS = Path(__file__).with_name("vendor_facts.md").read_text(encoding="utf-8")
_LINES = [line for line in _FACTS.splitlines() if re.match(r"\| \d", line)]
_ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in _LINES]
_NAMED = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", _FACTS)))
_SOURCES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


def test_each_of_the_87_facts_has_a_line():
    numbers = []
    for number, *_ in _ROWS:
        first, _, last = number.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    assert numbers == list(range(1, 88))


def test_each_line_names_a_test():
    assert not [row for row in _ROWS if "::test_" not in row[2]]


@pytest.mark.parametrize(("file", "name"), _NAMED)
def test_each_named_test_exists(file, name):
    assert any(path.name == file and f"def {name}(" in text for path, text in _SOURCES.items())


def test_credentials_of_the_sandbox_have_the_documented_form():
    (app,) = Sandbox(SandboxConfig(customers=0, entitlements=0, private_offers=0, days=0)).apps
    assert re.fullmatch(r"app_\w{12}", app.client_id)
    assert re.fullmatch(r"secret_\w{20}", app.secret)


def test_the_file_of_secrets_is_kept_out_of_version_control():
    lines = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert any(line.strip().endswith("secrets.toml") for line in lines)
    if (ROOT / ".git").exists():
        command = ["git", "ls-files", "*secrets.toml"]
        assert not subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_page_of_secrets_says_what_to_do_with_a_compromised_secret():
    page = (ROOT / "docs" / "secrets.md").read_text(encoding="utf-8")
    assert re.search(r"compromised.*?automatum apps rotate", page, re.DOTALL)
