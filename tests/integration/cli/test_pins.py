"""The public command line: names, defaults and types of options, exit codes, and the keys of each JSON object.

`pins.json` holds the command line as users know it. A difference is a change that breaks their scripts: if it is meant,
write it in CHANGELOG.md and regenerate the file:

    PINS=write .venv/bin/python -m pytest tests/integration/cli/test_pins.py

Help texts and messages are not pinned, so that their wording can be improved.
"""

import csv
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import typer

from automatum_sandbox.config import AppConfig, OrganizationConfig
from tests.support.desk import WIDE_LIMITS
from tests.support.loopback import closed_port
from tests.support.pushing import ambiguous

PINS = Path(__file__).with_name("pins.json")
TINY = {"customers": 16, "entitlements": 10, "private_offers": 5, "days": 3}
METERING = "/api/v1/metering"


def check(part, found):
    """Compare a part of the pins with what was found, key by key; with PINS=write, store it."""
    pins = json.loads(PINS.read_text(encoding="utf-8")) if PINS.exists() else {}
    if os.environ.get("PINS") == "write":
        pins[part] = folded(found)
        PINS.write_text(json.dumps(dict(sorted(pins.items())), indent=1) + "\n", encoding="utf-8")
    pinned = unfolded(pins[part])
    problems = [f"{path} is missing" for path in pinned if path not in found]
    problems += [f"{path} is new" for path in found if path not in pinned]
    problems += [
        f"{path} was {pinned[path]!r}, is {found[path]!r}"
        for path in pinned
        if path in found and pinned[path] != found[path]
    ]
    assert problems == []


def folded(flat):
    """Paths as nested objects; names side by side that hold the same objects share one, as `customers|entitlements`."""
    tree = {}
    for path, value in sorted(flat.items()):
        *above, last = path.split(" > ")
        inner = tree
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = value

    def fold(tree):
        names = {}
        for name, inner in tree.items():
            made = fold(inner) if isinstance(inner, dict) else inner
            key = json.dumps(made) if isinstance(inner, dict) else name
            names.setdefault(key, ([], made))[0].append(name)
        return {"|".join(same): made for same, made in names.values()}

    return fold(tree)


def unfolded(tree, above=""):
    """What `folded` was made of."""
    flat = {}
    for names, inner in tree.items():
        for name in names.split("|"):
            flat |= unfolded(inner, f"{above}{name} > ") if isinstance(inner, dict) else {f"{above}{name}": inner}
    return flat


# Arguments and options


def parameter(one):
    """An argument or option without its help text."""
    annotation = one.type_descriptor.annotation
    found = {"type": annotation.__name__ if type(annotation) is type else str(annotation)}
    for name in ("default", "min", "max", "envvar"):
        if getattr(one, name) is not None:
            found[name] = str(getattr(one, name))
    for name in ("required", "multiple", "is_flag", "hidden"):
        if getattr(one, name, False):
            found[name] = True
    if one.nargs != 1:
        found["nargs"] = one.nargs
    for name in ("formats", "case_sensitive"):
        value = getattr(one.type_descriptor.parameter_info, name, None)
        if value not in (None, True):
            found[name] = str(value)
    return found


def commands(command, name="automatum"):
    """Each command by its full name, sub-commands after their group."""
    yield name, command
    for own, child in getattr(command, "commands", {}).items():
        yield from commands(child, f"{name} {own}")


def test_arguments_and_options():
    from automatum.cli.main import app

    found = {}
    for name, command in commands(typer.main.get_command(app)):
        found[f"{name} > is a group"] = hasattr(command, "commands")
        for position, one in enumerate(command.params):
            # The name of an argument is not public, its position is.
            known = (
                " ".join([*one.opts, *one.secondary_opts]) if one.opts[0].startswith("-") else f"argument {position}"
            )
            for key, value in parameter(one).items():
                found[f"{name} > {known} > {key}"] = value
    check("commands", found)


# JSON


def shape(value, path, into):
    """Add the types of a value, of what it holds by key, and of all elements of its lists."""
    if not (isinstance(value, dict) and value):
        into.setdefault(f"{path} > is", set()).add("null" if value is None else type(value).__name__)
    if isinstance(value, dict):
        for key, inner in value.items():
            shape(inner, f"{path} > {key}", into)
    elif isinstance(value, list):
        for inner in value:
            shape(inner, f"{path} > each", into)


class Recorder:
    """Runs commands, and keeps the exit code and the keys of what each one prints."""

    def __init__(self, desk):
        self._desk = desk
        self.found = {}

    def run(self, name, code, *arguments):
        ran = self._desk.run(*arguments, "--json")
        assert ran.code == code, (name, ran)
        found = {}
        shape(ran.json, name, found)
        self.found[f"{name} > exit code"] = code
        self.found |= {path: " or ".join(sorted(types)) for path, types in found.items()}


def usage(sandbox, path="usage.csv", organization=None, units="2.5"):
    """A file of usage: four rows that can be billed, in the last closed hour."""
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    rows, seen = [], ambiguous(sandbox, organization)
    for one in sandbox.metering.billable(organization):
        for dimension, price in one.prices.items():
            key = (one.customer_id, one.listing_id, dimension)
            if key not in seen:
                seen.add(key)
                rows.append([one.customer_id, one.listing_id, one.vendor, dimension, units, price, hour.isoformat()])
    with Path(path).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "listing_id", "vendor", "dimension", "units", "price", "usage_at"])
        writer.writerows(rows[:4])
    return path


def write_events(sandbox, path="events.jsonl"):
    Path(path).write_text("".join(json.dumps(event, default=str) + "\n" for event in sandbox.metering.events))
    return path


@pytest.fixture
def record(desk):
    return Recorder(desk)


@pytest.fixture
def one(start, desk):
    served = start(**TINY, apps=(AppConfig(name="Sync"), AppConfig(scopes=("read:customers",))))
    desk.use(served)
    return served


@pytest.mark.slow
def test_json_of_syncs_and_of_what_reads_them(desk, one, record):
    sandbox = one.sandbox
    record.run("discover", 0, "discover")
    record.run("check", 0, "check")
    record.run("dry run before a sync", 0, "sync", "--dry-run")
    record.run("sync", 0, "sync", "--read-copy", "copy.duckdb")
    record.run("dry run after a sync", 0, "sync", "--dry-run")
    record.run("sync that ends early", 75, "sync", "--max-requests", "3")
    sandbox.rows.delete("customers", sandbox.rows.ids("customers")[:14])
    record.run("sync that misses many rows", 65, "sync", "customers")
    sandbox.faults.add("status", "/api/v1/customers", status=400)
    record.run("sync of a table that is refused", 69, "sync", "customers")
    record.run("status", 0, "status")
    record.run("status verified", 0, "status", "--verify")
    desk.use(one, app=1)
    record.run("sync of what the scopes allow", 65, "sync")
    record.run("sync without the scope", 77, "sync", "entitlements")
    record.run("check with fewer scopes", 0, "check")
    check("json of one organization", record.found)


def test_json_of_errors(desk, one, record):
    desk.attempts(1)
    desk.set(client_secret="wrong")
    record.run("sync with a wrong secret", 77, "sync")
    record.run("check with a wrong secret", 77, "check")
    desk.set(base_url=f"http://127.0.0.1:{closed_port()}")
    record.run("sync without the API", 69, "sync")
    desk.set(client_secret=None)
    record.run("sync without credentials", 78, "sync")
    record.run("status without a destination", 78, "status")
    record.run("push without usage", 78, "push")
    check("json of errors", record.found)


@pytest.mark.slow
def test_json_of_pushes(desk, one, record):
    sandbox = one.sandbox
    # The last hour counts as closed right after its end, so that its usage is never late.
    desk.set(metering_grace_minutes=0)
    assert desk.run("sync", "customers", "entitlements").code == 0
    pushed = usage(sandbox)
    record.run("push, dry", 0, "push", "--usage", pushed)
    sandbox.faults.add("lost_answer", METERING)
    sandbox.faults.add("status", METERING, status=400, message="Not for sale")
    record.run("push in trouble", 65, "push", "--usage", pushed, "--confirm", "--new-ledger")
    record.run("push status in trouble", 65, "push", "status")
    items = {one["kind"]: one["id"] for one in desk.run("push", "status", "--json").json["open"]}
    send = ("settle", items["unbilled"], "--not-billed", "--send", "--unchecked")
    record.run("push settle, dry", 0, "push", *send)
    record.run("push settle", 0, "push", *send, "--confirm")
    record.run("push events", 65, "push", "events", write_events(sandbox))
    record.run("push in conflict", 65, "push", "--usage", usage(sandbox, units="3.5"), "--confirm")
    Path("bad.csv").write_text(Path(pushed).read_text().replace("3.5", "many"))
    record.run("push of rows that are not valid", 65, "push", "--usage", "bad.csv")
    record.run("push export", 0, "push", "export")
    check("json of pushes", record.found)


def test_json_of_applications(desk, one, record):
    record.run("apps list", 0, "apps", "list")
    record.run("apps show", 0, "apps", "show", one.client_id)
    record.run("apps show of an unknown one", 78, "apps", "show", "app_000000000000")
    desk.set(client_secret=None)
    Path(".dlt").mkdir()
    Path(".dlt/secrets.toml").write_text(f'[sources.automatum]\nclient_secret = "{one.client_secret}"\n')
    record.run("apps rotate without --yes", 78, "apps", "rotate")
    record.run("apps rotate", 0, "apps", "rotate", "--yes")
    check("json of applications", record.found)


@pytest.mark.slow
def test_json_of_several_organizations(desk, start, record):
    served = start(
        **TINY,
        organizations=(OrganizationConfig(seed=100), OrganizationConfig(seed=101)),
        apps=(AppConfig(organization=0), AppConfig(organization=1)),
    )
    desk.set(base_url=served.base_url, application_limits=WIDE_LIMITS)
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    for name, app in zip(("acme", "globex"), served.sandbox.apps, strict=True):
        desk.set(**{f"{name}__client_id": app.client_id, f"{name}__client_secret": app.secret})
    record.run("discover", 0, "discover")
    record.run("sync", 0, "sync", "customers", "entitlements")
    record.run("dry run", 0, "sync", "--dry-run", "--organization", "globex")
    record.run("check", 0, "check", "--organization", "acme")
    record.run("check of none", 78, "check")
    record.run("status", 0, "status")
    record.run("status verified", 0, "status", "--verify")
    owner = served.sandbox.apps[0].organization_id
    desk.set(metering_grace_minutes=0)
    pushed = usage(served.sandbox, organization=owner)
    record.run("push", 0, "push", "--usage", pushed, "--organization", "acme", "--confirm", "--new-ledger")
    record.run("push status", 0, "push", "status", "--organization", "acme")
    desk.set(globex__client_secret="wrong")
    record.run("sync with a wrong secret of one", 77, "sync", "customers")
    check("json of several organizations", record.found)


@pytest.mark.slow
def test_json_of_the_demo(desk, record):
    record.run("demo", 0, "demo")
    check("json of the demo", record.found)
