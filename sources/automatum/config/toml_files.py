"""The TOML files that dlt reads: what is wrong with a file, which file has a key, and a section that can be written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial, reduce
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import KeyAlreadyPresent, ParseError, TOMLKitError

from ..core.errors import ConfigurationError
from ..core.private_files import check_own, replace_own
from ..core.redaction import Secret, sealed
from .dlt_internals import ConfigProvider, SettingsTomlProvider, TomlProviderReadException, registered_providers

_NEXT_STEP = "Correct the file, or remove it."


def settings_providers() -> list[ConfigProvider]:
    """The providers of dlt's configuration, in order of precedence.

    Raises:
        ConfigurationError: A TOML file cannot be read. The message names the file, the line and the kind of error. It
            does not show the content of the file.
    """
    try:
        return list(registered_providers())
    except TomlProviderReadException as error:
        paths, name = [Path(path) for path in error.full_paths], error.file_name
    # Outside of the handler: the error of dlt has the text of the file, and would become the context.
    for path in paths:
        _check_file(path)
    raise ConfigurationError(name, "cannot be read.", _NEXT_STEP)


def toml_paths(providers: Sequence[ConfigProvider]) -> Iterator[Path]:
    """The absolute paths of the TOML files that the providers read, existing or not, in order of precedence."""
    for provider in providers:
        if isinstance(provider, SettingsTomlProvider):
            yield from (Path(location).absolute() for location in provider.locations)


def check_files() -> None:
    """Check that each TOML file can be read, or does not exist: dlt takes a folder and a dead link for no file.

    Raises:
        ConfigurationError: See `settings_providers`.
    """
    for path in toml_paths(settings_providers()):
        if not path.is_file():
            _check_file(path)


def _check_file(path: Path) -> None:
    if problem := _problem(path):
        raise ConfigurationError(str(path.absolute()), f"{problem}.", _NEXT_STEP)


def _problem(path: Path) -> str:
    """What is wrong with a file, and where; empty if nothing is. Messages of tomlkit may quote a secret."""
    try:
        text = path.read_bytes().decode("utf-8")
        tomlkit.parse(text)
    except (FileNotFoundError, NotADirectoryError):
        return f"is a link to {path.readlink()}, which does not exist" if path.is_symlink() else ""
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"
    except UnicodeDecodeError:
        return "is not UTF-8"
    except TOMLKitError as error:
        if text.startswith("\ufeff"):
            return "begins with a byte order mark (BOM). Save it as UTF-8 without BOM"
        if isinstance(error, KeyAlreadyPresent):  # It names the key and no value.
            return f"is not valid TOML: {str(error).rstrip('.')}"
        # tomlkit counts columns from 0.
        where = f" in line {error.line}, column {error.col + 1}" if isinstance(error, ParseError) else ""
        return f"is not valid TOML{where}. Write text in quotes, and true and false in lower case"
    return ""


def readable_secrets() -> list[Path]:
    """The files of secrets that other users of this machine can read; empty on Windows, which has no such mode."""
    if os.name == "nt":
        return []
    secret = [provider for provider in settings_providers() if provider.supports_secrets]
    files = {path for path in toml_paths(secret) if path.is_file()}
    return sorted(file for file in files if file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def locate(provider: SettingsTomlProvider, path: Sequence[str]) -> str:
    """The file that has a key, for a message; the name of the provider if a program has set the key.

    Args:
        provider: The provider that has the key.
        path: Sections and key, such as `("sources", "automatum", "history")`.
    """
    for location in provider.present_locations:
        with suppress(OSError, KeyError, TypeError, ValueError):
            reduce(lambda node, name: node[name], path, TomlSection(Path(location), ()).read() or {})
            return str(Path(location).absolute())
    return f"a value that this program set in {provider.name}"


class TomlSection:
    """A section of a file as a store of credentials. A write is atomic, and keeps comments, other keys and the mode.

    Args:
        path: The file; it need not exist.
        sections: Path of the section, such as `("sources", "automatum")`.
    """

    def __init__(self, path: Path, sections: tuple[str, ...]) -> None:
        self.path, self._sections = path, sections

    def __str__(self) -> str:
        return f"{self.path} [{'.'.join(self._sections)}]"

    def read(self) -> dict[str, Any] | None:
        """Read the keys and values, those of secrets as `Secret`; None if there is no such section."""
        node: Any = sealed(self._document().unwrap())
        for name in self._sections:
            node = node.get(name) if isinstance(node, Mapping) else None
        return node if isinstance(node, dict) else None

    def check_writable(self) -> None:
        """Check that `write` will work: replace the file by one with the same bytes.

        Raises:
            ConfigurationError: The file is not writable.
        """
        self._document()
        self._replace(self._text)

    def write(self, changes: Mapping[str, str | Secret]) -> None:
        """Set these keys and keep the others.

        Raises:
            ConfigurationError: The file is not writable.
        """
        self._replace(partial(self._with_changes, changes))

    def _text(self) -> str:
        return self.path.read_text(encoding="utf-8") if self.path.exists() else ""

    def _document(self) -> tomlkit.TOMLDocument:
        _check_file(self.path)
        return tomlkit.parse(self._text())

    def _with_changes(self, changes: Mapping[str, str | Secret]) -> str:
        document = self._document()
        node: Any = document
        for name in self._sections:
            if name not in node:
                # A table that holds only tables needs no header.
                node[name] = tomlkit.table(is_super_table=name != self._sections[-1])
            node = node[name]
        for key, value in changes.items():
            node[key] = value.reveal() if isinstance(value, Secret) else value
        return tomlkit.dumps(document)

    def _replace(self, text: Callable[[], str]) -> None:
        # Replace the target of a symbolic link, not the link.
        path, failed = self.path.resolve(), ""
        try:
            check_own(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            mode = path.stat().st_mode & 0o7777 if path.exists() else None
            if mode is not None and not os.access(path, os.W_OK):
                raise PermissionError(13, "the file is read-only")
            replace_own(path, text().encode(), mode or 0o600)
            if not path.stat().st_size:
                path.unlink()  # Only the check of a file that did not exist writes nothing.
            _sync_folder(path.parent)
        except OSError as error:
            failed = error.strerror or type(error).__name__
        except (KeyError, TypeError, TOMLKitError):
            raise ConfigurationError(str(self), "one of these is not a table.") from None
        if failed:
            step = "Make the file writable, or name another file."
            raise ConfigurationError(str(self.path), f"cannot be written: {failed}.", step)


def _sync_folder(folder: Path) -> None:
    """Let the new name of a file outlive a power cut, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
