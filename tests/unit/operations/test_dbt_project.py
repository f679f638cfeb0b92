"""What dbt gets is what `models/` says: `make dbt-models` generates it."""

import os
import re

from automatum.operations.model_files import read_models
from tests.support.dbt_project import KEYS, files, present, write


def test_the_generated_files_are_current():
    if os.environ.get("DBT") == "write":
        write()
    assert present() == files(), "run: make dbt-models"


def test_each_mart_has_a_key_that_is_tested():
    assert KEYS.keys() == {name for name, model in read_models().items() if model.kind == "mart"}


def test_no_table_is_named_past_dbt():
    """A bare name would be another schema's, and dbt would not know what to build first."""
    for name, text in files().items():
        if name.endswith(".sql"):
            bare = set(re.findall(r"\b(?:FROM|JOIN) (\w+)", text)) - set(
                re.findall(r"(\w+) AS (?:MATERIALIZED )?\(", text)
            )
            assert not {
                one for one in bare if "." not in one and one in {*read_models(), "customers", "entitlements"}
            }, name
