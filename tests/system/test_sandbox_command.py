"""`automatum sandbox`, as a user starts it in another shell."""

import json
import re
import shlex
import signal

import pytest
import requests

VOLUME = ("--customers", "60")


def exported(process, count=3):
    """The settings that the command prints, by name."""
    found = {}
    while len(found) < count:
        line = process.stdout.readline()
        assert line, found
        if match := re.match(r"export SOURCES__AUTOMATUM__(\w+)=(.+)", line):
            found[match[1].lower()] = "".join(shlex.split(match[2]))
    return found


@pytest.mark.slow
def test_the_sandbox_serves_the_rows_and_limits_of_its_options(desk):
    process = desk.start("sandbox", "--port", "0", *VOLUME, "--limit", "20/hour")
    try:
        given = exported(process, 4)
        form = {"grant_type": "client_credentials", **{name: given[name] for name in ("client_id", "client_secret")}}
        token = requests.post(f"{given['base_url']}/oauth/token", data=form, timeout=10).json()["access_token"]
        answer = requests.get(
            f"{given['base_url']}/api/v1/customers?limit=100",
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0
    assert answer.headers["X-RateLimit-Limit"] == "20"
    assert [20, 3600] in json.loads(given["application_limits"]), "the client waits by the same limits"
    assert len(answer.json()["data"]) == 60


@pytest.mark.parametrize("limit", ["50", "0/minute", "20/day"])
def test_a_limit_of_another_form_is_refused(desk, limit):
    made = desk.run("sandbox", "--port", "0", "--limit", limit)
    assert made.code == 78
    assert "--limit" in made.err
    assert "20/minute" in made.err


def test_without_limits_the_client_has_none_either(desk):
    process = desk.start("sandbox", "--port", "0", *VOLUME, "--limit", "none")
    try:
        given = exported(process, 4)
        desk.set(**{name: value for name, value in given.items() if name != "application_limits"})
        desk.set(application_limits=json.loads(given["application_limits"]))
        assert desk.sync("--max-wait", "0").code == 0
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
