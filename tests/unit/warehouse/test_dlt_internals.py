"""The parts of dlt that the connector uses still exist, with the arguments that it passes.

They were checked with dlt 1.31. If a test fails after an upgrade of dlt, look at the functions of the modules `PLACES`
that use the part it names, adapt them, and set `CHECKED_WITH` to the new version.
"""

import ast
import inspect
import re
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.providers.toml import StringTomlProvider
from dlt.common.normalizers.naming.snake_case import NamingConvention

import automatum
from automatum.config.dlt_internals import document_of
from automatum.core.errors import ConfigurationError
from automatum.schema.columns import normalize_identifier
from automatum.warehouse import dlt_internals
from automatum.warehouse.duckdb_file import duckdb_destination
from automatum.warehouse.sql_client import check_destination

CHECKED_WITH = "1.31"
PLACES = (
    "config/dlt_internals.py",
    "schema/columns.py",
    "warehouse/dlt_internals.py",
    "warehouse/duckdb_file.py",
)
"""The modules of the connector that may use undocumented parts of dlt: one of each layer, and one of a destination."""
DOCUMENTED = (
    "dlt",
    "dlt.common.configuration",
    "dlt.common.configuration.exceptions",
    "dlt.common.configuration.specs",
    "dlt.common.configuration.specs.exceptions",
    "dlt.common.destination.exceptions",
    "dlt.common.exceptions",
    "dlt.common.pipeline",
    "dlt.common.typing",
    "dlt.destinations.exceptions",
    "dlt.extract",
    "dlt.pipeline.exceptions",
)
"""Modules of dlt that any module may import: what dlt documents, and its exceptions."""
STANDARD = ("_exit", "_replace", "_run_exitfuncs", "_shutdown")
"""Private names of the standard library that the connector uses."""
PARTS = (
    # module, name in it, arguments that are passed by name or position
    ("dlt.common.configuration", "configspec", ()),
    ("dlt.common.configuration", "resolve_configuration", ("config", "sections", "explicit_value", "accept_partial")),
    ("dlt.common.configuration.container", "Container", ()),
    ("dlt.common.configuration.exceptions", "ConfigFieldMissingException", ("traces",)),
    ("dlt.common.configuration.utils", "get_resolved_traces", ()),
    ("dlt.common.configuration.exceptions", "ConfigValueCannotBeCoercedException", ("field_name",)),
    ("dlt.common.configuration.exceptions", "ConfigurationException", ()),
    ("dlt.common.configuration.exceptions", "LookupTrace", ("key",)),
    ("dlt.common.configuration.exceptions", "LookupTraces", ("traces",)),
    ("dlt.common.configuration.specs", "BaseConfiguration", ()),
    ("dlt.common.configuration.specs.exceptions", "InvalidConnectionString", ()),
    ("dlt.common.exceptions", "DltException", ()),
    ("dlt.common.exceptions", "MissingDependencyException", ("dependencies",)),
    ("dlt.common.exceptions", "TerminalException", ()),
    ("dlt.common.pipeline", "SupportsPipeline", ()),
    ("dlt.common.typing", "TSecretStrValue", ()),
    ("dlt.common.destination.exceptions", "DestinationException", ()),
    ("dlt.extract", "DltResource", ()),
    ("dlt.common.configuration.providers.environ", "SECRET_STORAGE_PATH", ()),
    ("dlt.common.storages.load_package", "LoadPackageStateInjectableContext", ("load_id", "storage")),
    ("dlt.common.storages.load_package", "PackageStorage.get_load_package_state", ("load_id",)),
    ("dlt.common.storages.load_package", "PackageStorage.list_packages", ()),
    ("dlt.common.pipeline", "get_dlt_pipelines_dir", ()),
    ("dlt.common.destination.exceptions", "DestinationUndefinedEntity", ()),
    ("dlt.common.destination.exceptions", "SqlClientNotAvailable", ()),
    ("dlt.common.destination.exceptions", "UnknownDestinationModule", ()),
    ("dlt.common.normalizers.naming.snake_case", "NamingConvention.normalize_identifier", ("identifier",)),
    ("dlt.common.libs", "sql_alchemy_compat", ()),
    ("dlt.common.libs", "sql_alchemy_shims", ()),
    ("dlt.destinations.exceptions", "DatabaseException", ()),
    ("dlt.destinations.job_client_impl", "SqlJobClientBase.get_storage_table", ("table_name",)),
    ("dlt.destinations.job_client_impl", "SqlJobClientWithStagingDataset.with_staging_dataset", ()),
    ("dlt.destinations.exceptions", "DatabaseUndefinedRelation", ()),
    ("dlt.destinations.exceptions", "DestinationConnectionError", ()),
    ("dlt.destinations.impl.duckdb.configuration", "DuckDbCredentials", ()),
    ("dlt.destinations.impl.duckdb.configuration", "DuckDbConnectionPool.borrow_conn", ()),
    ("dlt.common.destination.reference", "Destination.configuration", ("initial_config", "accept_partial")),
    ("dlt.destinations.impl.duckdb.sql_client", "DuckDbSqlClient._make_database_exception", ("ex",)),
    ("dlt.destinations.sql_client", "SqlClientBase.make_qualified_table_name", ("table_name",)),
    ("dlt.destinations.sql_client", "SqlClientBase.escape_column_name", ("column_name",)),
    ("dlt.destinations.sql_client", "SqlClientBase.begin_transaction", ()),
    ("dlt.destinations.sql_client", "SqlClientBase.execute_query", ("query",)),
    ("dlt.destinations.sql_client", "SqlClientBase.execute_sql", ("sql",)),
    ("dlt.destinations.sql_client", "SqlClientBase.native_connection", ()),
    ("dlt.destinations.sql_client", "WithSqlClient.sql_client", ()),
    ("dlt.load.exceptions", "LoadClientJobFailed", ("job_id", "exception")),
    ("dlt.pipeline.exceptions", "PipelineStepFailed", ("step",)),
    ("dlt.destinations.job_client_impl", "SqlJobClientBase.get_storage_tables", ("table_names",)),
    ("dlt.destinations.job_client_impl", "SqlJobClientBase.drop_storage", ()),
    ("dlt.destinations.job_client_impl", "SqlJobClientBase.initialize_storage", ()),
    ("dlt.destinations.job_client_impl", "SqlJobClientBase.is_storage_initialized", ()),
    ("dlt.common.destination.reference", "Destination.capabilities", ("config", "naming")),
    ("dlt.common.storages.load_package", "create_load_id", ()),
    ("dlt.common.destination.client", "WithStagingDataset.with_staging_dataset", ()),
    ("dlt.pipeline.configuration", "PipelineConfiguration.restore_from_destination", ()),
    ("dlt.pipeline.pipeline", "Pipeline.drop", ()),
    ("dlt.pipeline.pipeline", "Pipeline._get_load_storage", ()),
    ("dlt.pipeline.pipeline", "Pipeline._get_normalize_storage", ()),
    ("dlt.pipeline.pipeline", "Pipeline.destination_client", ()),
    ("dlt.pipeline.pipeline", "Pipeline.has_pending_data", ()),
    ("dlt.pipeline.pipeline", "Pipeline.list_extracted_load_packages", ()),
    ("dlt.pipeline.pipeline", "Pipeline.list_normalized_load_packages", ()),
    # What `config` uses.
    ("dlt.common.configuration.const", "TYPE_EXAMPLES", ()),
    ("dlt.common.configuration.providers", "environ", ()),
    ("dlt.common.configuration.providers.doc", "BaseDocProvider", ()),
    ("dlt.common.configuration.providers.environ", "EnvironProvider", ()),
    ("dlt.common.configuration.providers.provider", "ConfigProvider", ()),
    ("dlt.common.configuration.providers.provider", "get_key_name", ("key", "separator")),
    ("dlt.common.configuration.providers.toml", "SettingsTomlProvider", ()),
    ("dlt.common.configuration.providers.toml", "TomlProviderReadException", ()),
    ("dlt.common.configuration.providers.vault", "VaultDocProvider", ()),
    ("dlt.common.configuration.specs.base_configuration", "extract_inner_hint", ("hint",)),
    ("dlt.common.configuration.specs.base_configuration", "is_secret_hint", ("hint",)),
    ("dlt.common.configuration.utils", "deserialize_value", ("key", "value", "hint")),
    ("dlt.common.configuration.specs.pluggable_run_context", "PluggableRunContext", ()),
    ("dlt.common.configuration.specs.config_section_context", "ConfigSectionContext", ("pipeline_name", "sections")),
    ("dlt.common.runtime.run_context", "active", ()),
)


@pytest.mark.parametrize(("module", "name", "arguments"), PARTS, ids=[name for _, name, _ in PARTS])
def test_dlt_has_the_part(module, name, arguments):
    said = f"dlt {version('dlt')} differs from the {CHECKED_WITH} that the connector was checked with"
    if find_spec(module) is None:
        pytest.fail(f"{said}: there is no module {module}")
    found = import_module(module)
    for step in name.split("."):
        if inspect.ismodule(found) and not hasattr(found, step) and find_spec(f"{module}.{step}"):
            found = import_module(f"{module}.{step}")
            continue
        if not hasattr(found, step):
            pytest.fail(f"{said}: {module} has no {name}")
        found = getattr(found, step)
    if arguments:
        known = set(inspect.signature(found).parameters)
        assert set(arguments) <= known, f"{said}: {module}.{name} takes {sorted(known)}"


@pytest.fixture(scope="module")
def modules():
    """Path of each module of the connector to its text."""
    root = Path(automatum.__file__).parent
    return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.py")}


def imports_of_dlt(text):
    """Pairs of module and name that a text imports from dlt."""
    for module, names in re.findall(r"^ *from (dlt(?:\.\w+)*) import \(?([^)\n]+|[^)]+\))", text, re.MULTILINE):
        yield from ((module, name) for name in re.findall(r"(\w+)(?: as \w+)?\b", names))


def test_each_import_of_dlt_is_among_the_parts(modules):
    known = {(module, name.partition(".")[0]) for module, name, _ in PARTS}
    found = {part: path for path, text in modules.items() for part in imports_of_dlt(text)}
    assert {part: path for part, path in found.items() if part not in known} == {}


def test_undocumented_parts_are_used_in_their_places_only(modules):
    found = {(path, module) for path, text in modules.items() for module, _ in imports_of_dlt(text)}
    assert {(path, module) for path, module in found if module not in DOCUMENTED and path not in PLACES} == set()
    assert {path for path, module in found if module not in DOCUMENTED} == set(PLACES)


def private_names(text):
    """Names with an underscore that a module reads of objects: as an attribute, or by `getattr` and its like."""
    for node in ast.walk(ast.parse(text)):
        name = ""
        if isinstance(node, ast.Attribute):
            name = node.attr
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("attr"):
            name = getattr(node.args[1], "value", "")
        if isinstance(name, str) and re.match("_[a-z]", name):
            yield name


def test_private_names_are_read_in_their_places_only(modules):
    """A private name that no module of the connector defines is one of dlt, or of another library."""
    others = {path: text for path, text in modules.items() if path not in PLACES}
    defined = re.compile(r"self\.(_\w+)(?:,| =|:| \+=)|^ *def (_\w+)|^    (_\w+)[: ]", re.MULTILINE)
    ours = {name for text in others.values() for pair in defined.findall(text) for name in pair}
    found = {(path, name) for path, text in others.items() for name in private_names(text)}
    assert {(path, name) for path, name in found if name not in ours and name not in STANDARD} == set()


def test_dlt_is_the_version_that_was_checked():
    assert version("dlt").startswith(f"{CHECKED_WITH}."), (
        f"dlt {version('dlt')} is installed. Run all tests of `make test-all` with it, then set CHECKED_WITH."
    )


def test_a_document_of_settings_has_its_content():
    """`config.known_keys` reads it, to find keys at the top."""
    assert document_of(StringTomlProvider("history = true")) == {"history": True}


def test_no_pipeline_loads_outside_of_an_extraction():
    dlt.pipeline("automatum_used_before", destination="duckdb")
    assert dlt_internals.loading_pipeline() is None
    assert dlt_internals.current_load_id() == ""


def test_destinations_are_told_apart_by_what_dlt_says_of_them(tmp_path):
    """Those that replace rows by key and merge key; `upsert` keeps the entries that a list has lost."""
    able = (dlt.destinations.postgres(), dlt.destinations.ducklake(), dlt.destinations.snowflake())
    unable = (dlt.destinations.filesystem("lake"), dlt.destinations.athena(), dlt.destinations.qdrant())
    for at, destination in enumerate((*able, *unable)):
        pipeline = dlt.pipeline("automatum", destination=destination, pipelines_dir=str(tmp_path / str(at)))
        if destination in able:
            check_destination(pipeline)
            continue
        with pytest.raises(ConfigurationError, match=destination.destination_name):
            check_destination(pipeline)


def test_capabilities_that_are_remembered_are_those_of_dlt(tmp_path):
    ours = duckdb_destination(tmp_path / "x.duckdb", "64MB")
    plain = dlt.destinations.duckdb(str(tmp_path / "x.duckdb"))
    for naming in (None, NamingConvention()):
        for _ in range(2):
            found = ours.capabilities(naming=naming)
            assert dict(found) == dict(plain.capabilities(naming=naming))
            found.preferred_loader_file_format, found.supported_loader_file_formats = "csv", []


def test_names_are_normalized_as_dlt_does():
    assert normalize_identifier("My Data") == "my_data"
