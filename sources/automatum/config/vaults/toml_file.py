"""A section of `secrets.toml`. A write is atomic, and keeps the comments, the other keys and the file mode."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ...core.errors import ConfigurationError

PRIVATE = 0o600


class TomlSection:
    """One section of one file.

    Args:
        path: The file; it need not exist.
        sections: Path of the section, such as `("sources", "automatum")`.
    """

    def __init__(self, path: Path, sections: tuple[str, ...]) -> None:
        self.path, self._sections = path, sections

    @property
    def description(self) -> str:
        """See `CredentialStore.description`."""
        return f"{self.path} [{'.'.join(self._sections)}]"

    def read(self) -> dict[str, Any] | None:
        """See `CredentialStore.read`."""
        node: Any = self._parse(self._text()).unwrap()
        for name in self._sections:
            if not isinstance(node, Mapping) or name not in node:
                return None
            node = node[name]
        return dict(node) if isinstance(node, Mapping) else None

    def check_writable(self) -> None:
        """See `CredentialStore.check_writable`. It replaces the file by one with the same bytes."""
        text = self._text()
        self._parse(text)
        try:
            self._replace(text)
        except OSError as error:
            raise self._unwritable(error) from None

    def write(self, changes: Mapping[str, str]) -> None:
        """See `CredentialStore.write`."""
        document = self._parse(self._text())
        node: Any = document
        for name in self._sections:
            if name not in node:
                # A table that holds only tables needs no header.
                node[name] = tomlkit.table(is_super_table=name != self._sections[-1])
            node = node[name]
            if not isinstance(node, Mapping):
                raise ConfigurationError(self.description, f"{name} is not a table.")
        for key, value in changes.items():
            node[key] = value
        try:
            self._replace(tomlkit.dumps(document))
        except OSError as error:
            raise self._unwritable(error) from None

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(str(self.path), f"cannot be read: {type(error).__name__}.") from None

    def _parse(self, text: str) -> tomlkit.TOMLDocument:
        try:
            return tomlkit.parse(text)
        except TOMLKitError:
            # The message of tomlkit may quote the line with the secret.
            raise ConfigurationError(str(self.path), "is not TOML.") from None

    def _unwritable(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            str(self.path),
            f"cannot be written: {error.strerror or type(error).__name__}.",
            "Make the file writable, or name another file.",
        )

    def _replace(self, text: str) -> None:
        # Replace the target of a symbolic link, not the link.
        path = self.path.resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat() if path.exists() else None
        if before and not os.access(path, os.W_OK):
            raise PermissionError(13, "the file is read-only")
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(number, "w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(PRIVATE if before is None else before.st_mode & 0o7777)
            if before and hasattr(os, "chown"):
                with suppress(PermissionError):
                    os.chown(name, before.st_uid, before.st_gid)
            if before is None and not text:
                return  # The check succeeded; do not leave an empty file behind.
            Path(name).replace(path)
            name = ""
        finally:
            if name:
                Path(name).unlink(missing_ok=True)
        with suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
