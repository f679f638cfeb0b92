"""A secret that systemd mounts is found, by the name that dlt gives it."""

from dlt.common.configuration.providers import environ

from automatum.config.lookup import look_up
from automatum.core.redaction import Secret


def test_a_loaded_credential_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(environ, "SECRET_STORAGE_PATH", str(tmp_path / "nowhere") + "/%s")
    monkeypatch.delenv("SOURCES__AUTOMATUM__CLIENT_SECRET", raising=False)
    folder = tmp_path / "100%sure"
    folder.mkdir()
    (folder / "sources--automatum--client-secret").write_text("secret_canary_9\n")
    assert look_up("client_secret", Secret) is None
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    assert look_up("client_secret", Secret) == Secret("secret_canary_9")
    monkeypatch.delenv("SOURCES__AUTOMATUM__CLIENT_SECRET", raising=False)  # dlt leaves it there.
