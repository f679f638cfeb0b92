"""The settings of a dlt source: those of `sources.automatum`, or of a clone of the source with another section or name.

dlt reads a setting of a source from `sources.<section>.<name>`, `sources.<section>`, `sources.<name>`, `sources`, and
the top level, each of them below the name of the active pipeline first. Here the last three are left out: with them, a
clone would load another organization's rows if its own section lacks the credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import dlt

from ..core.errors import AutomatumError, ConfigurationError
from .credentials import configured_credential, find_credentials
from .dlt_internals import current_source
from .lookup import CREDENTIALS, SECTIONS
from .organizations import organization_names
from .settings import AutomatumSettings, check_configuration, settings_from
from .vaults.store import register_vault_provider

_OWN = ".".join(SECTIONS)
_LEFT_OUT = (dlt.config.value, dlt.secrets.value)


def resolve_source_settings(settings: AutomatumSettings | None, **arguments: Any) -> AutomatumSettings:
    """The settings of the source that dlt makes at present.

    Args:
        settings: Settings that the program has resolved; then nothing else is read.
        **arguments: The other arguments of the source, which take precedence.

    Raises:
        ConfigurationError: A setting is missing or wrong; `key` names it with the section that was looked in.
    """
    values = {name: value for name, value in arguments.items() if not any(value is one for one in _LEFT_OUT)}
    if values.get("base_url", "") is None:
        del values["base_url"]
    given = values.keys() & set(CREDENTIALS)
    if settings is not None:
        if given:
            values |= find_credentials({**{key: getattr(settings, key) for key in CREDENTIALS}, **values})
        changed = replace(settings, **values)
        with errors_name(settings.section):
            changed.check()
        return changed
    pipeline, (sources, section, name) = current_source()
    own = (sources, section)
    of_source = ((*own, name), own)
    of_pipeline = tuple((pipeline, *path) for path in of_source) if pipeline else ()
    check_configuration(*of_pipeline, *of_source)
    register_vault_provider()
    if not given:
        _refuse_ambiguous(own, name, (*of_pipeline, of_source[0]))
    values |= find_credentials(values, *of_pipeline, *of_source)
    with errors_name(".".join(own)):
        return settings_from({**values, "section": ".".join(own)}, of_pipeline, of_source)


@contextmanager
def errors_name(section: str) -> Iterator[None]:
    """Let the errors that are raised in the block name this section where they would name `sources.automatum`."""
    try:
        yield
    except AutomatumError as error:
        if section != _OWN:
            _rename(error, section)
        raise


def _rename(error: AutomatumError, section: str) -> None:
    variable = section.replace(".", "__").upper()

    def renamed(text: str) -> str:
        text = re.sub(rf"\b{re.escape(_OWN)}\b", section, text)
        return re.sub(r"\bSOURCES__AUTOMATUM__|\bAUTOMATUM_(?=CLIENT_)", f"{variable}__", text)

    error.message, error.next_step = renamed(error.message), renamed(error.next_step)
    error.args = (f"{error.message} {error.next_step}".strip(),)
    if isinstance(error, ConfigurationError):
        error.key = renamed(error.key)


def _refuse_ambiguous(own: tuple[str, ...], name: str, before: tuple[tuple[str, ...], ...]) -> None:
    """Refuse a source of which it is not clear whose credentials it should read."""
    if own == SECTIONS and (names := organization_names()):
        raise ConfigurationError(
            _OWN,
            f"several organizations are configured ({', '.join(names)}), and a source reads one.",
            f'Name it: automatum_source(settings=resolve_settings(organization="{names[0]}")).',
        )
    other = (own[0], name)
    if other in (own, SECTIONS) or any(configured_credential(key, one) for one in before for key in CREDENTIALS):
        return
    for key in CREDENTIALS:
        if configured_credential(key, other):
            raise ConfigurationError(
                ".".join((*other, key)),
                f"is not read by a source that has the name {name} and the section {own[1]}.",
                f'To read [{".".join(other)}], write automatum_source.clone(name="{name}", section="{name}"). To read '
                f"[{'.'.join(own)}], choose another name.",
            )
