"""The optional packages, and the command that installs them."""

import re

import pytest

from automatum.core.extras import _REQUIREMENTS, install_command, is_installed
from tests.support import ROOT


@pytest.mark.parametrize("module", _REQUIREMENTS)
def test_a_hint_names_a_package_and_version_that_pyproject_declares(module):
    declared = re.findall(r'"([^"]+)"', (ROOT / "pyproject.toml").read_text())
    assert _REQUIREMENTS[module] in declared


def test_the_command_installs_the_packages_by_their_own_names():
    assert install_command("psycopg2", "redis") == "pip install 'psycopg2-binary>=2.9.9' 'redis>=5.2'"


def test_no_message_names_the_project_on_an_index_that_does_not_have_it():
    """It is not on PyPI: `pip install dlt-source-automatum` finds nothing."""
    texts = [path for folder in ("sources", "pipelines", "docs") for path in (ROOT / folder).rglob("*.*")]
    texts += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    found = [
        str(path.relative_to(ROOT))
        for path in texts
        if path.suffix in (".py", ".md", ".toml", ".txt")
        and re.search(r"pip install [^\n]*dlt-source-automatum", path.read_text("utf-8"))
        and path.name != "extras.py"
    ]
    assert found == []


def test_a_package_that_is_not_there_is_not_installed():
    assert is_installed("redis")
    assert not is_installed("no_such_package_of_anybody")
