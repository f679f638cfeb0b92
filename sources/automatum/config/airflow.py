"""Airflow's connections and variables as dlt's configuration: inside a task, and only there.

    with airflow_settings("eu") as warehouse:
        run_sync(organization="eu", destination=warehouse.destination or "duckdb")

| In Airflow | In dlt's configuration |
| --- | --- |
| Variable `automatum_config`, TOML or JSON | a whole `config.toml` |
| Variable `dlt_secrets_toml`, TOML or JSON | a whole `secrets.toml`; Airflow masks it, because its name says secret |
| Connection `automatum` | `sources.automatum`: login is `client_id`, password `client_secret`, host the base URL |
| Connection `automatum_<organization>` | `sources.automatum.<organization>`: the same for one of several |
| Connection `automatum_warehouse` | `destination.<type>.credentials`, or the DuckDB file |
| Connection `automatum_ledger` | `sources.automatum.ledger_url` |

The lower in this list, the stronger; all of it is stronger than the worker's environment and files. `extra` of a
connection holds further keys of the same section as JSON.

Each is read once for each task, with one request to Airflow. dlt has a provider of its own for Airflow, which asks for
a variable for each key in each section, a hundred requests a run; it is taken out for as long as ours is in.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from ..core.errors import ConfigurationError
from ..core.redaction import register_secret

PROVIDER = "Airflow connections and variables"
CONFIG, SECRETS = "automatum_config", "dlt_secrets_toml"
API, WAREHOUSE, LEDGER = "automatum", "automatum_warehouse", "automatum_ledger"
_DLTS_OWN = "Airflow Secrets TOML Provider"
_POSTGRES = frozenset({"postgres", "postgresql"})
_FILES = frozenset({"duckdb", "sqlite", "fs", "file"})
_SECRET = re.compile(r"secret|password|passwd|token|credentials|_key$|_url$", re.IGNORECASE)
"""Keys whose values no log may show, in whatever section they stand."""

Document = dict[str, Any]


class AirflowConnection(Protocol):
    """What is read of an Airflow connection."""

    conn_type: str | None
    host: str | None
    port: int | None
    schema: str | None
    login: str | None
    password: str | None
    extra: str | None


@dataclass(frozen=True)
class AirflowWarehouse:
    """What the connection `automatum_warehouse` says; None for what it does not.

    Attributes:
        destination: Name of a dlt destination.
        database: DuckDB file.
    """

    destination: str | None = None
    database: str | None = None


@dataclass
class _AirflowConfig:
    """What Airflow says: a document of dlt's, and the texts in it that no log may show."""

    document: Document = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    warehouse: AirflowWarehouse = AirflowWarehouse()


class AirflowProvider(BaseDocProvider):
    """A provider of dlt's that holds what Airflow says to the task that asks.

    Args:
        organization: Name of the one that the task works for; None for none.

    Attributes:
        warehouse: Where to load to.

    Raises:
        ConfigurationError: A variable or a connection cannot be read; it is named, its content is not.
    """

    def __init__(self, organization: str | None = None) -> None:
        super().__init__({})
        self._organization = organization
        self.warehouse = AirflowWarehouse()
        self.reload()

    def reload(self) -> None:
        """Read all of it again: a secret may have been rotated since."""
        told = _read(self._organization, _connection, _variable)
        _mask(told.secrets)
        self._config_doc, self.warehouse = told.document, told.warehouse

    @property
    def name(self) -> str:
        """Shown in dlt's traces."""
        return PROVIDER

    @property
    def supports_secrets(self) -> bool:
        """Airflow keeps them encrypted."""
        return True


@contextlib.contextmanager
def airflow_settings(organization: str | None = None) -> Iterator[AirflowWarehouse]:
    """Within it, dlt's configuration holds what Airflow's connections and variables say.

    Args:
        organization: Name of the one that the task works for; None for none.

    Yields:
        Where to load to.

    Raises:
        ConfigurationError: A variable or a connection cannot be read; it is named, its content is not.
    """
    ours = AirflowProvider(organization)
    providers = Container()[PluggableRunContext].providers
    before = providers.providers
    providers.providers = [ours, *(one for one in before if one.name not in (_DLTS_OWN, PROVIDER))]
    try:
        yield ours.warehouse
    finally:
        providers.providers = before


def _read(
    organization: str | None,
    connection: Callable[[str], AirflowConnection | None],
    variable: Callable[[str], str | None],
) -> _AirflowConfig:
    told = _AirflowConfig()
    for name in (CONFIG, SECRETS):
        text = variable(name)
        if text:
            _merge(told.document, _parse(name, text))
    ours = _section(told.document, "sources", "automatum")
    if found := connection(API):
        ours.update(_api(API, found))
    if organization:
        name = f"{API}_{organization}"
        if name in (WAREHOUSE, LEDGER):
            raise ConfigurationError(
                "sources.automatum.organizations",
                f"{name} is the connection of something else.",
                "Choose another name.",
            )
        if found := connection(name):
            said = _api(name, found)
            _merge(_section(told.document, "sources", "automatum", organization), said)
            _merge(_section(told.document, *_place_of_credentials(ours, organization)), said)
    if found := connection(LEDGER):
        ours["ledger_url"] = _ledger_url(found)
    if found := connection(WAREHOUSE):
        told.warehouse = _warehouse(told, found)
    told.secrets.update(_secrets(told.document))
    return told


def _api(name: str, connection: AirflowConnection) -> Document:
    """Settings of the API; a port or a scheme without a host says nothing."""
    settings = _extra(name, connection)
    for key, value in (("client_id", connection.login), ("client_secret", connection.password)):
        if value:
            settings[key] = value
    if connection.host:
        port = f":{connection.port}" if connection.port else ""
        # Airflow's own http connections mean http where they say nothing; ours carry a secret.
        scheme = "" if "://" in connection.host else f"{connection.schema or 'https'}://"
        settings["base_url"] = f"{scheme}{connection.host.rstrip('/')}{port}"
    return settings


def _place_of_credentials(ours: Document, organization: str) -> list[str]:
    """The section in which the organization's entry says that its credentials are."""
    for entry in ours.get("organizations") or ():
        if isinstance(entry, Mapping) and entry.get("name") == organization and entry.get("credentials"):
            return str(entry["credentials"]).split(".")
    return ["sources", "automatum", organization]


def _warehouse(told: _AirflowConfig, connection: AirflowConnection) -> AirflowWarehouse:
    kind, extra = _kind(WAREHOUSE, connection)
    if kind in _FILES:
        return AirflowWarehouse("duckdb", connection.host or connection.schema or None)
    destination = "postgres" if kind in _POSTGRES else kind
    said = {
        "host": connection.host,
        "port": connection.port,
        "username": connection.login,
        "password": connection.password,
        "database": connection.schema,
    }
    credentials = {**{key: value for key, value in said.items() if value}, **extra}
    _merge(told.document, {"destination": {destination: {"credentials": credentials}}})
    return AirflowWarehouse(destination)


def _ledger_url(connection: AirflowConnection) -> str:
    kind, _ = _kind(LEDGER, connection)
    if kind in _FILES:
        return f"sqlite:///{connection.host or connection.schema or ''}"
    if kind not in _POSTGRES:
        raise ConfigurationError(f"connection {LEDGER}", f"a ledger is in postgres or sqlite, not in {kind}.")
    user = quote(connection.login or "", safe="")
    password = f":{quote(connection.password, safe='')}" if connection.password else ""
    port = f":{connection.port}" if connection.port else ""
    return f"postgresql://{user}{password}@{connection.host or ''}{port}/{connection.schema or ''}"


def _kind(name: str, connection: AirflowConnection) -> tuple[str, Document]:
    """What is at the other end, and what else `extra` says.

    Without a provider package for a type, Airflow's form and its `--conn-type` make a `generic` of it; then `extra`
    says which, as `destination`.
    """
    extra = _extra(name, connection)
    kind = str(extra.pop("destination", None) or connection.conn_type or "").lower()
    if kind in ("", "generic"):
        raise ConfigurationError(
            f"connection {name}",
            "its type says nothing.",
            'Say in extra what it is, such as {"destination": "postgres"}: Airflow knows its providers\' types alone.',
        )
    return kind, extra


def _extra(name: str, connection: AirflowConnection) -> Document:
    """Parsed here, as Airflow's `extra_dejson` makes an empty dict of what it cannot parse."""
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
            document = None  # its message shows the text
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"variable {name}", "is neither TOML nor a JSON object.", "It holds what a config.toml would hold."
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


def _secrets(value: Any, key: str = "") -> Iterator[str]:
    """Texts below keys that say so; the password alone of a URL that has one, as the rest of it is worth reading."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _secrets(one, str(name))
    elif isinstance(value, list):
        for one in value:
            yield from _secrets(one, key)
    elif isinstance(value, str) and _SECRET.search(key):
        if "://" not in value:
            yield value
            return
        with contextlib.suppress(ValueError):
            password = urlsplit(value).password
            if password:
                yield from (password, unquote(password))


def _mask(secrets: set[str]) -> None:
    """Blot them out in Airflow's logs, and in what the connector says itself (I6)."""
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
