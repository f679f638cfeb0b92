import os
import runpy
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from automatum_sandbox import SandboxConfig, serve
from tests.integration.sandbox.conftest import Client, Fresh
from tests.integration.sandbox.test_metering import good_body
from tests.support import ROOT

SAMPLE = ROOT / "tests" / "support" / "vendor_sample.py"


def test_the_vendors_own_sample_works(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOMATUM_HOST", client.served.base_url)
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", client.sandbox.client_id)
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", client.sandbox.client_secret)
    names = runpy.run_path(str(SAMPLE))
    assert names["customers"]["data"] == client.sandbox.rows.all("customers")[:20]
    accepted = names["client"].submit_metering(good_body(client))
    assert accepted["data"]["id"] == client.sandbox.metering.accepted[0].id
    assert names["client"].get_customers()["pagination"]["total"] == 250
    assert client.sandbox.requests.stats()["tokens"] == 1  # the token is used again
    with pytest.raises(requests.HTTPError, match="400"):
        names["client"].submit_metering({})


def test_start_and_stop_are_quick_and_clean() -> None:
    before, threads = time.monotonic(), threading.active_count()
    served = serve(SandboxConfig(customers=5))
    assert time.monotonic() - before < 0.5
    assert requests.get(served.base_url, timeout=5).status_code == 200
    served.stop()
    served.stop()
    assert threading.active_count() == threads
    with pytest.raises(requests.ConnectionError):
        requests.get(served.base_url, timeout=5)


def test_stop_does_not_wait_for_an_idle_connection() -> None:
    """uvicorn alone takes 0.2 s; the best of three counts, because the machine may be busy."""
    seconds = []
    for _ in range(3):
        served = serve(SandboxConfig(customers=5))
        with requests.Session() as session:
            session.get(served.base_url, timeout=5)
            before = time.monotonic()
            served.stop()
            seconds.append(time.monotonic() - before)
    assert min(seconds) < 0.1


def test_taken_port_is_an_error(client: Client) -> None:
    with pytest.raises(OSError, match="in use"):
        serve(SandboxConfig(customers=1), port=int(client.served.base_url.rpartition(":")[2]))


def test_responses_do_not_wait_for_acknowledgements(client: Client) -> None:
    client.sandbox.configure(limits=None)
    client.get("/api/v1/customers", limit=1)
    before = time.monotonic()
    for _ in range(20):
        client.get("/api/v1/customers", limit=1)
    assert time.monotonic() - before < 20 * 0.03  # with Nagle's algorithm each takes 0.04 s


@pytest.mark.slow
def test_threads_may_change_rows_while_others_read(fresh: Fresh) -> None:
    client = fresh(limits=None, order="updated_desc")
    sandbox, done, failures = client.sandbox, threading.Event(), []

    def change() -> None:
        try:
            while not done.is_set():
                (id_,) = sandbox.rows.insert("customers")
                sandbox.rows.change("customers", id_, {"status": "inactive"})
                sandbox.rows.delete("customers", id_)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=change) for _ in range(3)]
    for thread in threads:
        thread.start()
    bodies = [client.get("/api/v1/customers", limit=100, status="inactive") for _ in range(30)]
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {body.status_code for body in bodies} == {200}
    assert len(sandbox.rows.ids("customers")) == 60


def test_command_line_prints_one_line_and_serves() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "automatum_sandbox", "--port", str(port), "--customers", "3", "--seed", "9"]
    command += ["--traps", "--latency", "0.01", "--limit", "20/minute", "--limit", "500/hour"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        given = dict(word.split("=") for word in line.split() if "=" in word)
        form = {**given, "grant_type": "client_credentials"}
        token = _until_up(f"http://127.0.0.1:{port}/oauth/token", form)
        process.terminate()
        rest = process.communicate(timeout=10)[0]
    assert f"http://127.0.0.1:{port}" in line and rest == ""
    assert token["token_type"] == "Bearer"


def _until_up(url: str, form: dict[str, str]) -> dict[str, str]:
    # The line comes just before the socket listens.
    end = time.monotonic() + 10
    while True:
        try:
            response: dict[str, str] = requests.post(url, data=form, timeout=5).json()
        except requests.ConnectionError:
            assert time.monotonic() < end
        else:
            return response


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "attacker.example.com"}, 403),
        ({"Host": "127.attacker.example.com"}, 403),
        ({"Origin": "https://attacker.example.com"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8321"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
    ],
)
def test_a_web_page_of_another_origin_gets_nothing(headers, status):
    """A page may let its own name resolve to loopback, or post to it: neither shows credentials or changes rows."""
    with serve(SandboxConfig(customers=1, entitlements=0, private_offers=0, days=0)) as served:
        answer = requests.get(f"{served.base_url}/_sandbox/credentials", headers=headers, timeout=10)
        assert answer.status_code == status
        assert (served.client_secret in answer.text) is (status == 200)
