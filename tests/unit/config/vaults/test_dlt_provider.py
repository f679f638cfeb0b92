"""The vault as a provider of dlt's configuration: what its lookups cost, and which address is in effect."""

import os
from pathlib import Path

import dlt

from automatum.config.vaults.store import register_vault_provider
from tests.support.desk import forget


def configure(folder: Path, address: str):
    """Write an address into the settings of a project, and let dlt read them there."""
    (folder / ".dlt").mkdir(parents=True, exist_ok=True)
    (folder / ".dlt" / "config.toml").write_text(f'[sources.automatum]\nsecrets_from = "{address}"\n')
    os.chdir(folder)
    forget()


def looked_at(monkeypatch, name: str) -> list[str]:
    """The paths that a function of `os` gets from now on."""
    paths, real = [], getattr(os, name)
    monkeypatch.setattr(os, name, lambda path, *rest, **named: paths.append(str(path)) or real(path, *rest, **named))
    return paths


def test_dlts_lookups_do_not_look_at_the_files_again(tmp_path, monkeypatch):
    """dlt asks each provider whether it is empty before each lookup: more than a thousand times a sync."""
    configure(tmp_path, "vault:///secret/automatum")
    provider = register_vault_provider()
    asked = [looked_at(monkeypatch, name) for name in ("stat", "lstat", "open")]
    for _ in range(3):
        assert not provider.is_empty
        assert dlt.config.get("sources.other.key") is None
    assert [path for paths in asked for path in paths if ".toml" in path] == []


def test_the_address_follows_the_settings_that_dlt_has(tmp_path, monkeypatch):
    """A notebook edits its settings and reads them again; a program goes to the folder of another project."""
    assert register_vault_provider().is_empty
    configure(tmp_path / "one", "vault:///secret/one")
    assert register_vault_provider().locations == ["vault:///secret/one"]
    configure(tmp_path / "one", "vault:///secret/edited")
    assert register_vault_provider().locations == ["vault:///secret/edited"]
    configure(tmp_path / "two", "vault:///secret/two")
    assert register_vault_provider().locations == ["vault:///secret/two"]
    dlt.config["sources.automatum.secrets_from"] = "vault:///secret/set"
    assert register_vault_provider().locations == ["vault:///secret/set"]
    monkeypatch.setenv("SOURCES__AUTOMATUM__SECRETS_FROM", "vault:///secret/variable")
    assert register_vault_provider().locations == ["vault:///secret/variable"]
