"""Airflow's connections and variables as dlt's configuration, for the time of a task.

    with airflow_settings("eu") as warehouse:
        options = SyncOptions(target=Target(warehouse.destination or "duckdb"))
        run_sync(options, settings=resolve_settings(organization="eu"))

| In Airflow | In dlt's configuration |
| --- | --- |
| Variable `automatum_config`, TOML or JSON | a whole `config.toml` |
| Variable `dlt_secrets_toml`, TOML or JSON | a whole `secrets.toml`; Airflow masks it, because its name says secret |
| Connection `automatum` | `sources.automatum`: login is `client_id`, password `client_secret`, host the base URL |
| Connection `automatum_<organization>` | `sources.automatum.<organization>`: the same for one of several |
| Connection `automatum_warehouse` | `destination.<type>.credentials`, or the DuckDB file |
| Connection `automatum_ledger` | `sources.automatum.ledger_url` |

A lower row overrides the rows above it, and every row overrides the environment and the files of the worker. `extra`
of a connection holds further keys of the same section as JSON.

A task reads each of them once, with one request to Airflow. dlt's own provider for Airflow requests a variable for each
key in each section, about a hundred requests a run; it is removed while this provider is active.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote

from ..core.errors import ConfigurationError
from ..core.redaction import register_secret
from ..core.secret_values import secrets_in
from .dlt_internals import BaseDocProvider, provider_first, replace_document

PROVIDER = "Airflow connections and variables"
CONFIG, SECRETS = "automatum_config", "dlt_secrets_toml"
API, WAREHOUSE, LEDGER = "automatum", "automatum_warehouse", "automatum_ledger"
_DLTS_OWN = "Airflow Secrets TOML Provider"
_POSTGRES = frozenset({"postgres", "postgresql"})
_FILES = frozenset({"duckdb", "sqlite", "fs", "file"})

Document = dict[str, Any]


class AirflowConnection(Protocol):
    """The attributes of an Airflow connection that are read."""

    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    login: str | None
    password: str | None
    extra: str | None


@dataclass(frozen=True)
class AirflowWarehouse:
    """The destination in the connection `automatum_warehouse`. None: the connection does not name it.

    Attributes:
        destination: Name of a dlt destination.
        database: DuckDB file.
    """

    destination: str | None = None
    database: str | None = None


@dataclass
class _AirflowConfig:
    """Airflow's configuration: a document for dlt, and the secrets in it."""

    document: Document = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    warehouse: AirflowWarehouse = AirflowWarehouse()


class AirflowProvider(BaseDocProvider):
    """A provider of dlt that returns the values of Airflow's connections and variables.

    Args:
        organization: Name of the organization that the task syncs; None if only one is configured.

    Attributes:
        warehouse: The destination.

    Raises:
        ConfigurationError: A variable or a connection cannot be parsed. The message does not show its content.
    """

    def __init__(self, organization: str | None = None) -> None:
        super().__init__({})
        self._organization = organization
        self.warehouse = AirflowWarehouse()
        self.reload()

    def reload(self) -> None:
        """Read the connections and variables again, such as after a secret was rotated."""
        airflow = _read(self._organization, _connection, _variable)
        _mask(airflow.secrets)
        replace_document(self, airflow.document)
        self.warehouse = airflow.warehouse

    @property
    def name(self) -> str:
        """Name in dlt's traces."""
        return PROVIDER

    @property
    def supports_secrets(self) -> bool:
        """Whether it may hold secrets. Airflow encrypts them."""
        return True


@contextlib.contextmanager
def airflow_settings(organization: str | None = None) -> Iterator[AirflowWarehouse]:
    """Add Airflow's connections and variables to dlt's configuration while the block runs.

    Args:
        organization: Name of the organization that the task syncs; None if only one is configured.

    Yields:
        The destination in the connection `automatum_warehouse`.

    Raises:
        ConfigurationError: A variable or a connection cannot be parsed. The message does not show its content.
    """
    ours = AirflowProvider(organization)
    with provider_first(ours, instead_of=(_DLTS_OWN, PROVIDER)):
        yield ours.warehouse


def _read(
    organization: str | None,
    connection: Callable[[str], AirflowConnection | None],
    variable: Callable[[str], str | None],
) -> _AirflowConfig:
    airflow = _AirflowConfig()
    for name in (CONFIG, SECRETS):
        text = variable(name)
        if text:
            _merge(airflow.document, _parse(name, text))
    ours = _section(airflow.document, "sources", "automatum")
    if found := connection(API):
        ours.update(_api(API, found))
    if organization:
        name = f"{API}_{organization}"
        if name in (WAREHOUSE, LEDGER):
            raise ConfigurationError(
                "sources.automatum.organizations",
                f"the connection {name} already has another meaning.",
                "Choose another name for the organization.",
            )
        if found := connection(name):
            settings = _api(name, found)
            _merge(_section(airflow.document, "sources", "automatum", organization), settings)
            _merge(_section(airflow.document, *_credential_section(ours, organization)), settings)
    if found := connection(LEDGER):
        ours["ledger_url"] = _ledger_url(found)
    if found := connection(WAREHOUSE):
        airflow.warehouse = _warehouse(airflow, found)
    airflow.secrets.update(secrets_in(airflow.document))
    return airflow


def _api(name: str, connection: AirflowConnection) -> Document:
    """The settings in a connection to the API. A port or a scheme without a host is ignored."""
    settings = _extra(name, connection)
    for key, value in (("client_id", connection.login), ("client_secret", connection.password)):
        if value:
            settings[key] = value
    if connection.host:
        settings["base_url"] = root_of(connection)
    return settings


def root_of(connection: AirflowConnection) -> str:
    """The root of the API. The path of a gateway is a part of the host, or the schema, where Airflow's URIs put it."""
    scheme, mark, host = (connection.host or "").rpartition("://")
    schema = connection.schema or ""
    named = schema in ("http", "https")
    # Without a scheme, Airflow's http connections mean http. These carry a secret, so the default is https.
    scheme = scheme if mark else schema if named else "https"
    name, slash, path = host.partition("/")
    port = f":{connection.port}" if connection.port else ""
    below = "" if named or not schema else f"/{schema.strip('/')}"
    return f"{scheme}://{name}{port}{slash}{path}".rstrip("/") + below


def _credential_section(ours: Document, organization: str) -> list[str]:
    """The section of the credentials, as the entry of the organization names it."""
    for entry in ours.get("organizations") or ():
        if isinstance(entry, Mapping) and entry.get("name") == organization and entry.get("credentials"):
            return str(entry["credentials"]).split(".")
    return ["sources", "automatum", organization]


def _warehouse(airflow: _AirflowConfig, connection: AirflowConnection) -> AirflowWarehouse:
    kind, extra = _kind(WAREHOUSE, connection)
    if kind in _FILES:
        return AirflowWarehouse("duckdb", connection.host or connection.schema or None)
    destination = "postgres" if kind in _POSTGRES else kind
    settings = {
        "host": connection.host,
        "port": connection.port,
        "username": connection.login,
        "password": connection.password,
        "database": connection.schema,
    }
    credentials = {**{key: value for key, value in settings.items() if value}, **extra}
    _merge(airflow.document, {"destination": {destination: {"credentials": credentials}}})
    return AirflowWarehouse(destination)


def _ledger_url(connection: AirflowConnection) -> str:
    kind, _ = _kind(LEDGER, connection)
    if kind in _FILES:
        return f"sqlite:///{connection.host or connection.schema or ''}"
    if kind not in _POSTGRES:
        raise ConfigurationError(f"connection {LEDGER}", f"the ledger needs postgres or sqlite, not {kind}.")
    user = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    port = f":{connection.port}" if connection.port else ""
    return f"postgresql://{user}{password}@{connection.host or ''}{port}/{connection.schema or ''}"


def _kind(name: str, connection: AirflowConnection) -> tuple[str, Document]:
    """The type of a connection, and the other keys of its `extra`.

    Airflow turns a type without a provider package into `generic`; then `destination` in `extra` names the type.
    """
    extra = _extra(name, connection)
    kind = str(extra.pop("destination", None) or connection.conn_type or "").lower()
    if kind in ("", "generic"):
        raise ConfigurationError(
            f"connection {name}",
            "the type of the connection is missing or generic.",
            'Name the type in extra, such as {"destination": "postgres"}.',
        )
    return kind, extra


def _extra(name: str, connection: AirflowConnection) -> Document:
    """Parse `extra`. Airflow's own `extra_dejson` returns an empty dict for broken JSON."""
    try:
        extra = json.loads(connection.extra or "{}")
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise ConfigurationError(f"connection {name}", "its extra is not a JSON object.")
    return extra


def _parse(name: str, text: str) -> Document:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    document: Any = None
    with contextlib.suppress(ValueError):
        document = json.loads(text)
    if document is None:
        try:
            document = tomlkit.parse(text).unwrap()
        except TOMLKitError:
            document = None  # The message of tomlkit would show the text.
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"variable {name}", "is neither TOML nor a JSON object.", "Write the content of a config.toml into it."
        )
    return document


def _merge(into: Document, more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _section(document: Document, *path: str) -> Document:
    for key in path:
        document = document.setdefault(key, {})
        if not isinstance(document, dict):
            raise ConfigurationError(f"variable {CONFIG}", f"{'.'.join(path)} is not a table.")
    return document


def _mask(secrets: set[str]) -> None:
    """Redact the secrets in Airflow's logs and in the connector's own messages (I6)."""
    from airflow.sdk.log import mask_secret  # type: ignore[import-not-found, unused-ignore]

    for secret in secrets:
        mask_secret(secret)
        register_secret(secret)


def _connection(name: str) -> AirflowConnection | None:
    from airflow.sdk import Connection  # type: ignore[import-not-found, unused-ignore]
    from airflow.sdk.exceptions import AirflowNotFoundException  # type: ignore[import-not-found, unused-ignore]

    try:
        found: AirflowConnection = Connection.get(name)
    except AirflowNotFoundException:
        return None
    return found


def _variable(name: str) -> str | None:
    from airflow.sdk import Variable  # type: ignore[import-not-found, unused-ignore]

    text: str | None = Variable.get(name, default=None)
    return text
