"""The generated files of `dbt/`: the models in `models/*.sql` with dbt's references, and their descriptions and tests.

What is written by hand there are `dbt_project.yml`, the macro and the test, the metrics and the README.
"""

import re

import sqlglot
import yaml
from sqlglot import exp

from automatum.endpoints import ENDPOINTS
from automatum.operations.model_files import SETTINGS_MODEL, USER_TABLES, read_models, source_tables
from automatum.schema.log_tables import log_tables
from automatum.schema.metering_tables import METERING_TABLES
from automatum.schema.tables import tables_of
from automatum.sync.results import Verdict
from tests.support import ROOT

FOLDER = ROOT / "dbt"
GENERATED = ("models", "seeds")
"""Folders that hold nothing else."""
NOTE = "Generated from models/ by `make dbt-models`: change it there."
KEYS = {
    "revenue_monthly": ("organization_id", "month", "vendor", "listing_id", "currency"),
    "contract_value_daily": ("organization_id", "day", "vendor", "currency"),
    "retention_monthly": ("organization_id", "month", "currency"),
    "contracts_ending": ("organization_id", "entitlement_id"),
    "customers_left": ("organization_id", "customer_id", "vendor", "currency"),
    "offers_open": ("organization_id", "private_offer_id"),
    "payments_due": ("organization_id", "private_offer_id", "position"),
    "fee_check": ("organization_id", "month", "vendor", "listing_id", "currency", "expected_percent"),
    "usage_by_month": ("organization_id", "month", "vendor", "customer_id", "listing_id", "dimension", "currency"),
    "sync_health": ("organization_id", "table_name"),
}
"""Mart to the columns of which no two rows have the same values."""
NULLABLE = {"revenue_monthly": {"month", "listing_id"}, "fee_check": {"month", "listing_id", "expected_percent"}}
"""Parts of keys that may be null."""
VALUES = {
    ("fee_check", "verdict"): ("as expected", "too high", "too low", "no expected fee"),
    ("sync_health", "last_verdict"): tuple(one.value for one in Verdict),
    ("contracts_ending", "bucket"): (30, 60, 90, 120, 180),
    ("contract_value_daily", "basis"): ("history", "terms"),
    ("retention_monthly", "basis"): ("history", "terms"),
    ("revenue_monthly", "basis"): ("history", "last change"),
    ("offers_open", "since_basis"): ("viewed_at", "sent_at", "created_at", "updated_at"),
}
REFERENCES = {
    ("contracts_ending", "entitlement_id"): ("stg_entitlements", "entitlement_id"),
    ("offers_open", "private_offer_id"): ("stg_private_offers", "private_offer_id"),
    ("payments_due", "private_offer_id"): ("stg_private_offers", "private_offer_id"),
}
_DIVISION = re.compile(r"^( *)(\(.*\))\n *// (\(.*\* \d+\))", re.MULTILINE)


def files():
    """Path below `dbt/` to text, of each generated file."""
    made = {f"models/{model.kind}/{model.name}.sql": _sql(model) for model in read_models().values()}
    made["models/models.yml"] = _yaml({"models": [_properties(model) for model in read_models().values()]})
    made["models/sources.yml"] = _yaml({"sources": [_source()]})
    made["seeds/seeds.yml"] = _yaml({"seeds": [_seed(name) for name in USER_TABLES]})
    made.update({f"seeds/{name}.csv": ",".join(columns) + "\n" for name, columns in USER_TABLES.items()})
    return made


def present():
    """Path below `dbt/` to text, of each file that is there in the folders of generated ones."""
    found = (path for folder in GENERATED for path in (FOLDER / folder).rglob("*") if path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path.read_text(encoding="utf-8") for path in found}


def write():
    """Make the folders hold the generated files and no other."""
    made = files()
    for name in present().keys() - made.keys():
        (FOLDER / name).unlink()
    for name, text in made.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, encoding="utf-8")


def _sql(model):
    text = model.text.strip()
    if model.name == SETTINGS_MODEL:
        return f"{{# {NOTE} #}}\n{_with_variables(text)}\n"
    return f"{{# {NOTE} #}}\n{_portable(_with_references(text))}\n"


def _portable(text):
    """Whole numbers of 128 bits and their division, which Postgres spells otherwise, as macros."""
    text = text.replace("HUGEINT", "{{ wide_integer() }}")
    text = _DIVISION.sub(r"\1{{ integer_division() }}(\n\1  \2,\n\1  \3\n\1)", text)
    assert "//" not in text, text
    return text


def _with_references(text):
    def reference(found):
        start, name, alias = found.groups()
        if name in read_models() or name in USER_TABLES:
            return f"{start}{{{{ ref('{name}') }}}} AS {alias or name}"
        if name in source_tables():
            return f"{start}{{{{ automatum_table('{name}') }}}} AS {alias or name}"
        return found[0]

    return re.sub(r"\b((?:FROM|JOIN)\s+)(\w+)\b(?: AS (\w+))?", reference, text)


def _with_variables(text):
    """Each constant as a variable of the same name whose default is that of the file."""
    tree = sqlglot.parse_one(text, dialect="duckdb")
    for constant in tree.find_all(exp.Alias):
        name, default = constant.alias, constant.this
        if name == "today":
            (found,) = re.findall(r"SELECT\s+(.*) AS today", text)
            new = f"{{% if var('today', '') %}}DATE '{{{{ var('today') }}}}'{{% else %}}{found}{{% endif %}}"
        else:
            literal = default.find(exp.Literal)
            quoted = f"'{literal.this}'" if literal.is_string else literal.this
            value = f"{{{{ var('{name}', {quoted}) }}}}"
            found = default.sql(dialect="duckdb")
            new = found.replace(literal.sql(), f"'{value}'" if literal.is_string else value)
        assert text.count(f"{found} AS {name}") == 1, (found, name)
        text = text.replace(f"{found} AS {name}", f"{new} AS {name}")
    return text


def _properties(model):
    found = {"name": model.name, "description": model.description}
    if model.name == "int_days":
        found["time_spine"] = {"standard_granularity_column": "day"}
        found["columns"] = [{"name": "day", "granularity": "day", "data_tests": ["unique", "not_null"]}]
    if model.name in KEYS:
        found["data_tests"] = [{"unique_rows": {"arguments": {"columns": list(KEYS[model.name])}}}]
        columns = {name: ["not_null"] for name in KEYS[model.name] if name not in NULLABLE.get(model.name, ())}
        for (mart, name), values in VALUES.items():
            if mart == model.name:
                arguments = {"values": list(values), "quote": isinstance(values[0], str)}
                columns.setdefault(name, []).append({"accepted_values": {"arguments": arguments}})
        for (mart, name), (target, field) in REFERENCES.items():
            if mart == model.name:
                arguments = {"to": f"ref('{target}')", "field": field}
                columns.setdefault(name, []).append({"relationships": {"arguments": arguments}})
        found["columns"] = [{"name": name, "data_tests": tests} for name, tests in columns.items()]
    return found


def _source():
    stored = {one.name: one for one in (*log_tables(), *METERING_TABLES)}
    for endpoint in ENDPOINTS:
        stored.update({one.name: one for one in tables_of(endpoint, history=True)})
    texts = "\n".join(model.text for model in read_models().values())
    read = [name for name in source_tables() if re.search(rf"\b(FROM|JOIN)\s+{name}\b", texts)]
    return {
        "name": "automatum",
        "description": "Tables that `automatum sync` and `automatum push export` write.",
        "schema": "{{ var('automatum_dataset', 'automatum') }}",
        "tables": [_table(name, stored.get(name)) for name in read],
    }


def _table(name, stored):
    descriptions = {one.name: one.description for one in stored.columns} if stored else {}
    found = {"name": name, "description": stored.description if stored else "Loads of dlt; status 0: finished."}
    if name == "_automatum_sweeps":
        late = {"warn_after": {"count": 26, "period": "hour"}, "error_after": {"count": 3, "period": "day"}}
        found["config"] = {
            "loaded_at_field": "finished_at",
            "freshness": {**late, "filter": "verdict = 'complete'"},
        }
    found["columns"] = [
        {"name": column, "data_type": kind, **({"description": descriptions[column]} if column in descriptions else {})}
        for column, kind in source_tables()[name].items()
    ]
    return found


def _seed(name):
    types = {column: kind.replace(" ", "") for column, kind in USER_TABLES[name].items()}
    return {
        "name": name,
        "description": read_models()[f"stg_{name}"].description,
        "config": {"column_types": types},
        "columns": [{"name": column} for column in types],
    }


def _yaml(content):
    return f"# {NOTE}\n" + yaml.safe_dump({"version": 2, **content}, sort_keys=False, width=116, allow_unicode=True)


if __name__ == "__main__":
    write()
