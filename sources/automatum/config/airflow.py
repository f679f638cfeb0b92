"""Airflow's connections, and a variable, as dlt's configuration, for the time of a task.

    with airflow_settings("eu") as warehouse:
        options = SyncOptions(target=Target(warehouse.destination or "duckdb"))
        run_sync(options, settings=resolve_settings(organization="eu"))

| In Airflow | In dlt's configuration |
| --- | --- |
| Variable `dlt_secrets_toml`, TOML or JSON | a whole `secrets.toml`; Airflow masks it, because its name says secret |
| Connection `automatum` | `sources.automatum`: login is `client_id`, password `client_secret`, host the base URL |
| Connection `automatum_<organization>` | `sources.automatum.<organization>`: the same for one of several |
| Connection `automatum_warehouse` | `destination.<type>.credentials`, or the DuckDB file |

A lower row overrides the rows above it, and every row overrides the environment and the files of the worker. `extra`
of a connection holds further keys of the same section as JSON, such as `ledger_url`.

A task reads each of them once, with one request to Airflow. dlt's own provider for Airflow requests a variable for each
key in each section, about a hundred requests a run; it is removed while this provider is active.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import tomlkit
from tomlkit.exceptions import TOMLKitError

from ..core.errors import ConfigurationError
from ..core.redaction import register_secret, reveal, sealed, secrets_in
from .dlt_internals import BaseDocProvider, provider_first
from .lookup import SECTIONS

PROVIDER = "Airflow connections and variables"
SECRETS, API, WAREHOUSE = "dlt_secrets_toml", "automatum", "automatum_warehouse"
_DLTS_OWN = "Airflow Secrets TOML Provider"
_FIELDS = {"host": "host", "port": "port", "username": "login", "password": "password", "database": "schema"}
"""Names in dlt's credentials, and those in a connection."""

Document = dict[str, Any]


@dataclass(frozen=True)
class AirflowWarehouse:
    """The destination in the connection `automatum_warehouse`. None: the connection does not name it.

    Attributes:
        destination: Name of a dlt destination.
        database: DuckDB file.
    """

    destination: str | None = None
    database: str | None = None


class AirflowProvider(BaseDocProvider):
    """A provider of dlt that returns the values of Airflow's connections and variables.

    Args:
        organization: Name of the organization that the task syncs; None if only one is configured.

    Attributes:
        warehouse: The destination.

    Raises:
        ConfigurationError: A variable or a connection cannot be parsed. The message does not show its content.
    """

    name = PROVIDER
    supports_secrets = True

    def __init__(self, organization: str | None = None) -> None:
        self._organization = organization
        self.warehouse = AirflowWarehouse()
        self.reload()

    def reload(self) -> None:
        """Read the connections and the variable again, such as after a secret was rotated."""
        # Sealed, so that a traceback of an error shows no secret.
        found = [sealed(_variable(SECRETS))]
        names = {API: SECTIONS}
        if self._organization:
            names[f"{API}_{self._organization}"] = (*SECTIONS, self._organization)
        if WAREHOUSE in names:
            problem = f"the connection {WAREHOUSE} already has another meaning."
            raise ConfigurationError(
                "sources.automatum.organizations", problem, "Choose another name for the organization."
            )
        for name, sections in names.items():
            if connection := _connection(name):
                found.append(_nested(sealed(_api(name, connection)), *sections))
        if connection := _connection(WAREHOUSE):
            self.warehouse, credentials = _warehouse(connection)
            found.append(sealed(credentials))
        document: Document = {}
        for one in found:
            _merge(document, orjson.loads(orjson.dumps(one, reveal)))
        super().__init__(document)
        for secret in set(secrets_in(document)):
            _mask(secret)


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


def _api(name: str, connection: Any) -> Document:
    """The settings in a connection to the API. A port or a scheme without a host is ignored."""
    root = root_of(connection) if connection.host else None
    settings = {"client_id": connection.login, "client_secret": connection.password, "base_url": root}
    return {**_extra(name, connection), **{key: value for key, value in settings.items() if value}}


def root_of(connection: Any) -> str:
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


def _warehouse(connection: Any) -> tuple[AirflowWarehouse, Document]:
    """The destination, and its credentials as settings of dlt.

    Airflow turns a type without a provider package into `generic`; then `destination` in `extra` names the type.
    """
    extra = _extra(WAREHOUSE, connection)
    kind = str(extra.pop("destination", None) or connection.conn_type or "").lower()
    if kind in ("", "generic"):
        raise ConfigurationError(
            f"connection {WAREHOUSE}",
            "the type of the connection is missing or generic.",
            'Name the type in extra, such as {"destination": "postgres"}.',
        )
    if kind == "duckdb":
        return AirflowWarehouse("duckdb", connection.host or connection.schema or None), {}
    destination = "postgres" if kind == "postgresql" else kind
    settings = {key: value for key, field in _FIELDS.items() if (value := getattr(connection, field))}
    return AirflowWarehouse(destination), _nested({**settings, **extra}, "destination", destination, "credentials")


def _extra(name: str, connection: Any) -> Document:
    """Parse `extra`. Airflow's own `extra_dejson` returns an empty dict for broken JSON."""
    return _parsed(f"connection {name}", connection.extra, "its extra is not a JSON object.", json.loads)


def _parsed(name: str, text: str | None, problem: str, *parsers: Any) -> Document:
    """The text as a table by the first parser that can read it. The message of a parser would show the text."""
    for parse in parsers:
        with contextlib.suppress(ValueError, TOMLKitError):
            found = parse(text or "{}")
            if isinstance(found, dict):
                return found
            break
    raise ConfigurationError(name, problem)


def _nested(value: Document, *path: str) -> Document:
    """A table at a path of sections."""
    for key in reversed(path):
        value = {key: value}
    return value


def _merge(into: Document, more: Document) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _mask(secret: str) -> None:
    """Redact a secret in Airflow's logs and in the connector's own messages (I6)."""
    from airflow.sdk.log import mask_secret  # type: ignore[import-not-found, unused-ignore]

    mask_secret(secret)
    register_secret(secret)


def _connection(name: str) -> Any:
    from airflow.sdk import Connection  # type: ignore[import-not-found, unused-ignore]
    from airflow.sdk.exceptions import AirflowNotFoundException  # type: ignore[import-not-found, unused-ignore]

    with contextlib.suppress(AirflowNotFoundException):
        return Connection.get(name)
    return None


def _variable(name: str) -> Document:
    from airflow.sdk import Variable  # type: ignore[import-not-found, unused-ignore]

    problem = "is neither TOML nor a JSON object: write the content of a secrets.toml into it."
    text = Variable.get(name, default=None)
    return _parsed(f"variable {name}", text, problem, json.loads, lambda text: tomlkit.parse(text).unwrap())
