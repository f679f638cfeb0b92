"""I5: mistakes of the operator with the ledger: each is refused, or bills nothing twice (table in docs/metering.md)."""

import shutil
from pathlib import Path

import pytest

from tests.support.desk import SMALL
from tests.support.postgres import postgres  # noqa: F401  fixture
from tests.support.pushing import (
    METERING,
    Teller,
    counts,
    keys_of,
    keys_of_bodies,
    rows_of,
    taken_by,
    write_csv,
    write_events,
)


@pytest.fixture
def served(start, desk):
    served = start(**SMALL)
    desk.use(served)
    return served


@pytest.fixture
def small(served):
    return served.sandbox


@pytest.fixture
def teller(desk):
    return Teller(desk)


def refused(desk, sandbox, *arguments, url=None):
    """A push that ends with exit 78 and sends nothing; what it says."""
    before = len(taken_by(sandbox))
    desk.set(ledger_url=url)
    ran = desk.run("push", "--usage", "usage.csv", "--confirm", "--json", *arguments)
    desk.set(ledger_url=None)
    assert (ran.code, len(taken_by(sandbox))) == (78, before), ran
    assert ran.json["errors"][0]["next_step"]
    return ran.says


def ledger_file():
    (found,) = Path.home().rglob("metering-*.sqlite")
    return found


# No ledger


def test_a_push_without_a_ledger_is_refused_and_names_what_it_looked_for(small, desk, teller):
    write_csv(rows_of(small))
    said = refused(desk, small)
    assert "there is no ledger at" in said and "metering-127.0.0.1" in said and "--new-ledger" in said
    assert sorted(Path.home().rglob("metering*")) == []
    dry = desk.run("push", "--usage", "usage.csv", "--json")
    assert (dry.code, dry.json["ledger_exists"]) == (0, False)
    assert "there is no ledger" in " ".join(dry.json["warnings"])
    assert "there is no ledger" in desk.run("push", "--usage", "usage.csv").says


def test_a_decision_without_a_ledger_is_refused(small, desk):
    ran = desk.run("push", "settle", "LINE", "--carry", "--confirm", "--json")
    assert (ran.code, small.requests.all()) == (78, []), ran
    assert "there is no ledger at" in ran.says


def test_a_removed_ledger_bills_nothing_again(small, desk, teller):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    ledger_file().unlink()
    Path("events.jsonl").write_text("{}")
    for arguments in (
        ["--usage", "usage.csv"],
        ["settle", "LINE", "--billed", "--confirm"],
        ["events", "events.jsonl"],
        ["statement", "--month", "2026-11"],
        ["export"],
        ["ledger", "backup", "backup.sqlite"],
        ["ledger", "adopt", "--confirm"],
        ["ledger", "restore", "--from", "none.sqlite"],
    ):
        said = desk.run("push", *arguments, "--json")
        assert said.code == 78 and "--new-ledger" not in said.says, said
        assert "there was a ledger at" in said.says or "there is no file" in said.says, said
    assert "there was a ledger at" in refused(desk, small)
    assert "there was a ledger at" in refused(desk, small, "--new-ledger")
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_a_new_ledger_is_begun_once(small, desk, teller):
    rows = rows_of(small)
    counts(teller.push(rows, "--confirm"), accepted=len(rows))
    assert "there is a ledger at" in refused(desk, small, "--new-ledger")
    dry = desk.run("push", "--usage", "usage.csv", "--json")
    assert (dry.json["ledger_exists"], dry.json["lines"]["to_send"]) == (True, 0)


def test_a_first_push_that_failed_may_be_repeated(small, desk):
    write_csv(rows_of(small))
    desk.set(client_secret="secret_that_is_wrong")
    assert desk.run("push", "--usage", "usage.csv", "--confirm", "--new-ledger").code == 77
    desk.set(client_secret=small.apps[0].secret)
    assert desk.run("push", "--usage", "usage.csv", "--confirm", "--new-ledger").code == 0
    assert keys_of_bodies(taken_by(small)) == keys_of(rows_of(small))


@pytest.mark.sample(1)
@pytest.mark.parametrize("where", ["file", "postgres"])
def test_another_place_is_a_question(where, small, desk, teller, request):
    teller.push(rows_of(small), "--confirm")
    url = f"sqlite:///{desk.folder}/other.sqlite" if where == "file" else request.getfixturevalue("postgres")
    assert "nobody can know what was billed before" in refused(desk, small, url=url)


def configure(desk, sandbox, *names):
    """Configure organizations with these names, or none."""
    app = sandbox.apps[0]
    desk.set(organizations=[{"name": name} for name in names] or None, client_id=app.client_id)
    for name in names:
        desk.set(**{f"{name}__client_id": app.client_id, f"{name}__client_secret": app.secret})


@pytest.mark.parametrize("after", [[], ["globex"]], ids=["removed", "renamed"])
def test_an_organization_that_was_renamed_or_removed_is_a_question(after, small, desk):
    usage = write_csv(rows_of(small))
    configure(desk, small, "acme")
    begun = desk.run("push", "--usage", usage, "--organization", "acme", "--confirm", "--new-ledger", "--json")
    assert begun.code == 0, begun
    configure(desk, small, *after)
    assert "If only a name has changed: rename" in refused(desk, small, *(["--organization", *after] if after else []))


def test_a_second_organization_begins_its_own_ledger(start, desk):
    served = start(**SMALL)
    desk.use(served)
    app = served.sandbox.apps[0]
    desk.set(organizations=[{"name": "acme"}, {"name": "globex"}])
    desk.set(acme__client_id="app_other", acme__client_secret="x")
    desk.set(globex__client_id=app.client_id, globex__client_secret=app.secret)
    usage = write_csv(rows_of(served.sandbox))
    host = served.base_url.removeprefix("http://").replace(":", "-")
    theirs = Path.home() / f".local/share/automatum/metering-{host}-acme.sqlite"
    Teller(desk, f"sqlite:///{theirs}").begin()
    ran = desk.run("push", "--usage", usage, "--organization", "globex", "--confirm", "--new-ledger", "--json")
    assert ran.code == 0, ran


def test_another_home_is_a_question(small, desk, teller, tmp_path, monkeypatch):
    teller.push(rows_of(small), "--confirm")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    assert "check ledger_url, --organization, base_url, the user and HOME" in refused(desk, small)


def test_one_api_has_one_ledger_however_its_host_is_written(small, desk, teller):
    from automatum.config.settings import resolve_settings
    from automatum.metering.ledger.location import default_ledger_url

    def url(base_url):
        return default_ledger_url(resolve_settings({"base_url": base_url}, with_credentials=False))

    assert url("https://API.example.com:443/") == url("https://api.example.com")
    assert url("https://api.example.com:8443") != url("https://api.example.com")
    assert url("https://api.example.com/a") != url("https://api.example.com")


# Commands


def ledger(desk, *arguments, url=None, code=0):
    desk.set(ledger_url=url)
    ran = desk.run("push", "ledger", *arguments, "--json")
    desk.set(ledger_url=None)
    assert ran.code == code, ran
    return ran.json


@pytest.mark.slow
def test_a_ledger_says_whose_it_is(small, desk, teller):
    assert ledger(desk, "show") == {"ledger": teller.url, "exists": False}
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    figures = ledger(desk, "show")
    assert figures["api"].startswith("127.0.0.1-") and figures["ledger_id"] and figures["problem"] is None
    assert figures["lines"]["accepted"] == figures["rows"]["metering_lines"] == len(rows)
    assert "metering-127.0.0.1" in desk.run("push", "ledger", "show").says


@pytest.mark.slow
def test_a_ledger_moves_to_postgres_by_way_of_a_backup(small, desk, teller, postgres, tmp_path):  # noqa: F811
    rows, file = rows_of(small), tmp_path / "backup.sqlite"
    teller.push(rows, "--confirm")
    made = ledger(desk, "backup", file)
    assert "still there" in str(ledger(desk, "restore", "--from", file, url=postgres, code=78))
    ledger_file().rename(tmp_path / "old.sqlite")
    there = ledger(desk, "restore", "--from", file, url=postgres)
    assert there["rows"] == made["rows"]
    assert Teller(desk, postgres).push(rows, "--confirm")["already_accepted"] == len(rows)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_a_place_with_lines_is_not_overwritten(small, desk, teller, tmp_path):
    teller.push(rows_of(small), "--confirm")
    file = tmp_path / "backup.sqlite"
    first = ledger(desk, "backup", file)
    assert "exists" in str(ledger(desk, "backup", file, code=78))
    ledger(desk, "restore", "--from", file, code=78)
    assert "relative path" in str(ledger(desk, "show", url="sqlite:///l.sqlite", code=78))
    assert ledger(desk, "show", url=f"sqlite:///{file}")["rows"] == first["rows"]
    assert ledger(desk, "show")["rows"] == first["rows"]


def test_a_backup_is_no_second_ledger_and_brings_a_lost_one_back(small, desk, teller, tmp_path):
    rows, file = rows_of(small), tmp_path / "backup.sqlite"
    teller.push(rows, "--confirm")
    made = ledger(desk, "backup", file)
    assert "is a copy, or a backup" in refused(desk, small, url=f"sqlite:///{file}")
    ledger_file().unlink()
    assert ledger(desk, "restore", "--from", file)["rows"] == made["rows"]
    assert teller.push(rows, "--confirm")["already_accepted"] == len(rows)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_m1_a_restore_that_fails_leaves_no_ledger_that_a_push_takes_for_its_own(small, desk, teller, tmp_path):
    """As found: an empty ledger was left, and the next push billed everything twice without --new-ledger."""
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    there = ledger_file()
    damaged = tmp_path / "damaged.sqlite"
    ledger(desk, "backup", damaged)
    damaged.write_bytes(damaged.read_bytes()[:5000])
    there.unlink()
    for arguments in (["--from", damaged], ["--from", tmp_path / "none.sqlite"]):
        ledger(desk, "restore", *arguments, code=78)
        assert not there.exists()
        assert "there was a ledger at" in refused(desk, small, "--new-ledger")
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_a_copy_becomes_the_ledger_only_on_request(small, desk, teller, tmp_path):
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    there = f"sqlite:///{tmp_path}/copy.sqlite"
    Path(tmp_path / "copy.sqlite").write_bytes(ledger_file().read_bytes())
    assert "is a copy of the ledger" in refused(desk, small, url=there)
    looked = ledger(desk, "adopt", url=there)
    assert not looked["adopted"] and "is a copy" in looked["problem"]
    assert "is a copy of" in str(ledger(desk, "adopt", "--confirm", url=there, code=78)), "both would bill"
    ledger_file().unlink()
    assert ledger(desk, "adopt", "--confirm", url=there)["problem"] is None
    assert Teller(desk, there).push(rows, "--confirm")["already_accepted"] == len(rows)


@pytest.mark.slow
def test_a_restored_ledger_knows_the_events_that_it_has_taken(small, desk, teller, tmp_path):
    """Otherwise an event that is delivered again could settle another call."""
    rows = rows_of(small, most=4)
    teller.push(rows, "--confirm")
    events = write_events(small)
    settled = teller.run("events", events)
    before = ledger(desk, "show")
    assert settled["placed"] > 0
    ledger(desk, "backup", tmp_path / "backup.sqlite")
    ledger_file().unlink()
    ledger(desk, "restore", "--from", tmp_path / "backup.sqlite")
    after = ledger(desk, "show")
    assert (after["rows"], after["lines"]) == (before["rows"], before["lines"])
    again = teller.run("events", events)
    assert (again["placed"], again["known"]) == (0, settled["placed"]), again
    assert teller.push(rows, "--confirm")["requests"] == 0


@pytest.mark.slow
def test_a_ledger_that_lacks_exported_lines_is_refused(small, desk, teller, tmp_path):
    """An empty ledger, begun by mistake, beside an export of the lost one."""
    rows = rows_of(small)
    teller.push(rows, "--confirm")
    teller.run("export")
    ledger(desk, "backup", tmp_path / "backup.sqlite")
    shutil.rmtree(ledger_file().parent)  # a new disk
    said = refused(desk, small, "--new-ledger")
    assert "metering_attempts in the destination has the call" in said and "which the ledger" in said
    ledger(desk, "restore", "--from", tmp_path / "backup.sqlite")
    assert teller.push(rows, "--confirm")["already_accepted"] == len(rows)
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)


def test_a_decision_with_an_older_ledger_sends_nothing_again(small, desk, teller, tmp_path):
    """As found: a restored ledger had a line as refused that was sent later, and `push status` named the command."""
    small.faults.add("status", path=METERING, status=400, count=1)
    refused_row = rows_of(small, most=1)
    teller.push(refused_row, "--confirm", code=65)
    (entry,) = teller.entries("unbilled")
    ledger(desk, "backup", tmp_path / "backup.sqlite")
    teller.run("settle", entry.id, "--not-billed", "--send", "--confirm")
    teller.run("export")
    shutil.rmtree(ledger_file().parent)  # a new disk
    ledger(desk, "restore", "--from", tmp_path / "backup.sqlite")
    for decision in (["--not-billed", "--send"], ["--carry"], ["--carry", "--unchecked"]):
        ran = desk.run("push", "settle", entry.id, *decision, "--confirm", "--json")
        assert ran.code == 78 and "metering_attempts in the destination has the call" in ran.says, ran
    assert keys_of_bodies(taken_by(small)) == keys_of(refused_row)


@pytest.mark.slow
def test_the_ledger_of_a_renamed_organization_is_adopted(small, desk):
    """From one organization without a name to one with a name, and to another name; each bills nothing again."""
    rows = rows_of(small)
    usage, old = write_csv(rows), Teller(desk)
    old.push(rows, "--confirm")
    url = old.url
    for name, before in (("acme", None), ("globex", "acme")):
        configure(desk, small, name)
        chosen = ["--organization", name]
        refused(desk, small, *chosen)
        new = url.replace(f"-{before}.sqlite" if before else ".sqlite", f"-{name}.sqlite")
        Path(url.removeprefix("sqlite:///")).rename(new.removeprefix("sqlite:///"))
        assert before is None or "organization acme" in ledger(desk, "adopt", *chosen)["problem"]
        ledger(desk, "adopt", "--confirm", *chosen)
        again = desk.run("push", "--usage", usage, "--confirm", "--json", *chosen)
        assert (again.code, again.json["already_accepted"]) == (0, len(rows)), again
        url = new
    assert keys_of_bodies(taken_by(small)) == keys_of(rows)
