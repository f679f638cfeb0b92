"""The undocumented parts of dlt that `config` uses, checked with dlt 1.31: its configuration providers.

dlt may change them in any release; the test of `warehouse.dlt_internals` names each part that is missing after an
upgrade. The other modules of `config` import dlt's classes of providers from here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dlt.common.configuration.const import TYPE_EXAMPLES
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers import environ
from dlt.common.configuration.providers.doc import BaseDocProvider as BaseDocProvider
from dlt.common.configuration.providers.environ import EnvironProvider as EnvironProvider
from dlt.common.configuration.providers.provider import ConfigProvider as ConfigProvider
from dlt.common.configuration.providers.toml import SettingsTomlProvider as SettingsTomlProvider
from dlt.common.configuration.providers.toml import TomlProviderReadException as TomlProviderReadException
from dlt.common.configuration.providers.vault import VaultDocProvider as VaultDocProvider
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from dlt.common.configuration.utils import deserialize_value as deserialize_value
from dlt.common.runtime.run_context import active

UNFILLED: str = TYPE_EXAMPLES["text"]
"""What `dlt init` writes for a setting that the user must fill in."""
_MOUNTED = Path("/run/secrets")


def registered_providers() -> Sequence[ConfigProvider]:
    """The providers of dlt's configuration, in order of precedence. dlt has read their files when it made them."""
    return Container()[PluggableRunContext].providers.providers


def add_provider(provider: ConfigProvider) -> None:
    """Add a provider as the last one."""
    Container()[PluggableRunContext].providers.add_provider(provider)


@contextmanager
def provider_first(provider: ConfigProvider, instead_of: Sequence[str]) -> Iterator[None]:
    """Let dlt ask a provider before all others while the block runs.

    Args:
        provider: The provider.
        instead_of: Names of providers that dlt does not ask meanwhile.
    """
    providers = Container()[PluggableRunContext].providers
    before = providers.providers
    providers.providers = [provider, *(one for one in before if one.name not in instead_of)]
    try:
        yield
    finally:
        providers.providers = before


def current_source() -> tuple[str | None, tuple[str, ...]]:
    """The name of the active pipeline, and the sections of the source whose function runs: `sources`, section, name."""
    context = Container()[ConfigSectionContext]
    return context.pipeline_name, context.sections


def document_of(provider: BaseDocProvider) -> Mapping[str, Any]:
    """All settings that a provider holds, as one document."""
    return provider._config_doc


def project_folder() -> Path:
    """The folder `.dlt` of the project."""
    return Path(active().settings_dir)


def use_systemd_credentials() -> None:
    """Let dlt read mounted secrets from systemd's `$CREDENTIALS_DIRECTORY`, if there is no `/run/secrets`.

    The name of a secret is that of dlt, such as `sources--automatum--client-secret`.
    """
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and not _MOUNTED.is_dir():
        environ.SECRET_STORAGE_PATH = folder.replace("%", "%%") + "/%s"
