"""The list in docs/configuration.md is what the settings say of themselves: `make tables` generates it."""

import os

from automatum.config.settings import NAMES, SETTINGS
from tests.support.settings_page import PAGE, descriptions, filled


def test_the_list_of_settings_is_current():
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("TABLES") == "write":
        PAGE.write_text(filled(text), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == filled(text), "run: make tables"


def test_each_setting_describes_itself():
    assert list(descriptions()) == list(dict.fromkeys(descriptions()))
    assert set(descriptions()) == set(SETTINGS)


def test_there_are_at_most_29():
    assert len(NAMES) <= 29
