"""The TOML files that dlt reads: what is wrong with a file, and the line of a key."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import KeyAlreadyPresent, ParseError, TOMLKitError, UnexpectedEofError

from ..core.errors import ConfigurationError
from .dlt_internals import ConfigProvider, SettingsTomlProvider, TomlProviderReadException, registered_providers

_NEXT_STEP = "Correct the file. Write text in quotes, and true and false in lower case."
_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*([^=#\s][^=]*?)\s*=")
_providers: ContextVar[list[ConfigProvider] | None] = ContextVar("_providers", default=None)


@contextmanager
def providers_read_once() -> Iterator[None]:
    """Check the TOML files once while the block runs, and not for each of the settings that it looks up.

    Raises:
        ConfigurationError: See `settings_providers`.
    """
    token = _providers.set(settings_providers())
    try:
        yield
    finally:
        _providers.reset(token)


def settings_providers() -> list[ConfigProvider]:
    """The providers of dlt's configuration, in order of precedence.

    Raises:
        ConfigurationError: A TOML file cannot be read. The message names the file and, for an error of syntax, the line
            and the column. It does not show the content of the file.
    """
    if known := _providers.get():
        return known
    try:
        providers = list(registered_providers())
    except TomlProviderReadException as error:
        for path in map(Path, error.full_paths):
            check_file(path)
        raise ConfigurationError(error.file_name, "cannot be read.", _NEXT_STEP) from None
    for path in toml_paths(providers):
        if not path.is_file():
            check_file(path)
    return providers


def toml_paths(providers: Sequence[ConfigProvider]) -> Iterator[Path]:
    """The absolute paths of the TOML files that the providers read, existing or not, in order of precedence."""
    for provider in providers:
        if isinstance(provider, SettingsTomlProvider):
            yield from (Path(location).absolute() for location in provider.locations)


def check_file(path: Path) -> None:
    """Check that a TOML file can be read, or does not exist.

    Raises:
        ConfigurationError: It cannot be read; see `settings_providers`.
    """
    name = str(path.absolute())
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise ConfigurationError(
                name, f"is a link to {path.readlink()}, which does not exist.", "Correct or remove the link."
            ) from None
        return
    except NotADirectoryError:
        return
    except IsADirectoryError:
        raise ConfigurationError(name, "is a folder and not a file.", "Put a TOML file there, or remove it.") from None
    except OSError as error:
        raise ConfigurationError(
            name, f"cannot be read: {error.strerror or type(error).__name__}.", "Let this user read it, or remove it."
        ) from None
    _check_content(name, content)


def _check_content(name: str, content: bytes) -> None:
    if content.startswith(b"\xef\xbb\xbf"):
        raise ConfigurationError(name, "begins with a byte order mark (BOM).", "Save it as UTF-8 without BOM.")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(name, f"line {line} is not UTF-8.", "Save it as UTF-8.") from None
    try:
        tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise ConfigurationError(name, f"{_syntax_problem(text, error)}.", _NEXT_STEP) from None


def _syntax_problem(text: str, error: TOMLKitError) -> str:
    """What is wrong and where. The message of tomlkit may quote a secret, so it is not shown."""
    last = text.count("\n") + (not text.endswith("\n"))
    if isinstance(error, UnexpectedEofError) or "\\x00" in str(error):
        return f"line {last}: the file ends before a value, a quote or a bracket is complete"
    if isinstance(error, KeyAlreadyPresent) or "already exists" in str(error):
        line = error.line if isinstance(error, ParseError) else _line_of_duplicate(text)
        return f"line {line} repeats a key or a table that the file has already"
    if isinstance(error, ParseError):
        # tomlkit counts columns from 0.
        return f"line {error.line}, column {error.col + 1}: not valid TOML"
    return "is not valid TOML"


def _line_of_duplicate(text: str) -> int:
    """The first line up to which the text has a duplicate; tomlkit does not say where one in an inline table is."""
    lines = text.splitlines()
    for number in range(1, len(lines) + 1):
        try:
            tomlkit.parse("\n".join(lines[:number]))
        except KeyAlreadyPresent:
            return number
        except TOMLKitError:
            continue
    return len(lines)


def readable_secrets() -> list[Path]:
    """The files of secrets that other users of this machine can read; empty on Windows, which has no such mode."""
    if os.name == "nt":
        return []
    files = {
        Path(location).absolute()
        for provider in settings_providers()
        if isinstance(provider, SettingsTomlProvider) and provider.supports_secrets
        for location in provider.present_locations
    }
    return sorted(file for file in files if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def find_line(text: str, path: Sequence[str]) -> int | None:
    """The line of a key in the text of a TOML file; None if it is not found, such as within an inline table.

    Args:
        text: The text of the file.
        path: Sections and key, such as `("sources", "automatum", "history")`.
    """
    wanted = ".".join(path)
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _without_quotes(header.group(1))
            if section == wanted or section.startswith(f"{wanted}."):
                return number
        elif key := _KEY.match(line):
            full = f"{section}.{_without_quotes(key.group(1))}".lstrip(".")
            if full == wanted or full.startswith(f"{wanted}."):
                return number
    return None


def _without_quotes(name: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in name.split("."))


def locate(provider: SettingsTomlProvider, path: Sequence[str]) -> str:
    """The file and the line of a key, for a message; the name of the provider if a program has set it."""
    for location in map(Path, provider.present_locations):
        try:
            text = location.read_text(encoding="utf-8")
            node: Any = tomlkit.parse(text).unwrap()
        except (OSError, ValueError, TOMLKitError):
            continue
        for name in path:
            node = node.get(name) if isinstance(node, Mapping) else None
        if node is not None:
            line = find_line(text, path) or find_line(text, path[:-1])
            return f"{location.absolute()}" + (f" line {line}" if line else "")
    return f"a value that this program set in {provider.name}"
