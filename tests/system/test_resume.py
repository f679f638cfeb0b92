"""I3 (at most one chunk is asked for again after a kill), I1 (nothing lost), on the same machine and on a fresh one."""

import os
import random
import shutil
import time
from collections import Counter
from datetime import datetime, timezone
from math import ceil
from pathlib import Path

import duckdb
import pytest

from automatum_sandbox import Limits, SandboxConfig, serve
from tests.support.killing import KillableSync
from tests.support.syncing import chunks_of

CHUNK_PAGES = 2
CHUNK_ROWS = CHUNK_PAGES * 100
NOW = datetime(2026, 11, 20, tzinfo=timezone.utc)
CONFIG = SandboxConfig(customers=730, entitlements=410, private_offers=130, days=20, traps=True, limits=None, now=NOW)
NEEDED = ceil(730 / 100) + ceil(410 / 100) + ceil(130 / 100)
REPORT = 16
"""Requests of a first report at most: five windows, each twice, and proofs (docs/internals/completeness.md)."""
KILLS = int(os.environ.get("KILLS", "4"))


def settings_of(served, **more: str) -> dict[str, str]:
    return {
        "SOURCES__AUTOMATUM__BASE_URL": served.base_url,
        "SOURCES__AUTOMATUM__CLIENT_ID": served.client_id,
        "SOURCES__AUTOMATUM__CLIENT_SECRET": served.client_secret,
        "SOURCES__AUTOMATUM__APPLICATION_LIMITS": "[[1000000, 1]]",
        **more,
    }


def dump(database: Path) -> dict[str, list]:
    """All rows of all tables but the records of sweeps, without what tells when they were loaded."""
    with duckdb.connect(str(database), read_only=True) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'automatum' "
            "AND table_type = 'BASE TABLE' "
            "AND table_name NOT LIKE '\\_%' ESCAPE '\\'"
        ).fetchall()
        return {table: connection.execute(_content(connection, table)).fetchall() for (table,) in sorted(tables)}


def _content(connection: duckdb.DuckDBPyConnection, table: str) -> str:
    columns = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'automatum' AND table_name = ?",
        [table],
    ).fetchall()
    kept = [f'"{name}"' for (name,) in columns if name not in ("_synced_at", "_dlt_load_id", "valid_from", "valid_to")]
    return f"SELECT {', '.join(kept)} FROM automatum.{table} ORDER BY ALL"


def is_complete(database: Path) -> bool:
    """Whether the destination has a complete sync of the four tables."""
    if not database.exists():
        return False
    with duckdb.connect(str(database)) as connection:
        try:
            (count,) = connection.execute(
                "SELECT count(DISTINCT table_name) FROM automatum._automatum_sweeps WHERE verdict = 'complete' "
                "AND load_id IN (SELECT load_id FROM automatum._dlt_loads WHERE status = 0)"
            ).fetchone()
        except duckdb.CatalogException:
            return False
    return count == 4


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    for name in ("first", "second"):  # the first also starts the server that forks the others
        began = time.monotonic()
        with serve(CONFIG) as served:
            environment = settings_of(served, SOURCES__AUTOMATUM__HISTORY="true")
            summary = KillableSync(environment, folder / f"{name}.duckdb", folder / name, CHUNK_ROWS).finish(60)
            assert summary["exit_code"] == 0 and NEEDED < summary["requests"] <= NEEDED + REPORT
        seconds = time.monotonic() - began
    return dump(folder / "second.duckdb"), seconds


@pytest.mark.parametrize("fresh", [False, True], ids=["same folder", "fresh machine"])
def test_a_sync_that_is_killed_at_any_moment_ends_like_an_uninterrupted_one(uninterrupted, tmp_path, fresh):
    """kill -9 at random moments over extract, normalize and load, until each sync is through."""
    expected, seconds = uninterrupted
    seed = int(os.environ.get("SEED", random.SystemRandom().randrange(1 << 30)))
    print(f"SEED={seed} KILLS={KILLS}")
    moments = random.Random(seed)
    kills = scenario = 0
    worst = 0.0
    while kills < KILLS:
        scenario += 1
        folder = tmp_path / str(scenario)
        folder.mkdir()
        with serve(CONFIG) as served:
            environment = settings_of(served, SOURCES__AUTOMATUM__HISTORY="true")
            here = summary = None
            of_this = 0
            while summary is None:
                if fresh or here is None:
                    here = folder / f"p{of_this}"
                run = KillableSync(environment, folder / "m.duckdb", here, CHUNK_ROWS)
                summary = run.finish(moments.uniform(0.02, 1.0) * seconds)
                of_this += summary is None
                if summary is None and is_complete(folder / "m.duckdb"):
                    break  # killed when all was done: another run would be another sync
            asked = len(served.sandbox.requests.to("/api/v1/"))
        assert summary is None or summary["exit_code"] == 0, summary
        held = dump(folder / "m.duckdb")
        assert set(held) == set(expected)
        for table, rows in expected.items():
            missing, strange = Counter(rows) - Counter(held[table]), Counter(held[table]) - Counter(rows)
            assert not missing and not strange, (table, f"scenario {scenario} of seed {seed}", missing, strange)
        # What is read behind the last loaded chunk is asked for again, and no more. A chunk is two pages of new rows.
        # Rows whose package was killed after they were merged are not new when they are read again, so the chunk
        # that reads them holds more pages than two. The last page that was loaded is read again, too. A report of few
        # rows is read within one chunk, with its proofs.
        assert asked <= NEEDED + REPORT + of_this * (2 * CHUNK_PAGES + 5 + REPORT), (asked, NEEDED, of_this)
        worst = max(worst, (asked - NEEDED - REPORT) / of_this if of_this else 0.0)
        kills += of_this
    print(f"{kills} kills in {scenario} syncs; at most {worst:.1f} requests a kill were asked for again")


def test_a_spent_budget_ends_the_run_and_the_next_runs_finish_it(tmp_path):
    """I3: several runs of a bounded sync, each exit 75, then 0; a run reads one page again at most."""
    with serve(CONFIG) as served:
        environment = settings_of(served)
        codes = []
        for turn in range(10):
            codes.append(bounded(environment, tmp_path / "m.duckdb", tmp_path / f"p{turn}", 5)["exit_code"])
            if codes[-1] != 75:
                break
        pages = [(one.path, one.page) for one in served.sandbox.requests.to("/api/v1/")]
    assert codes == [75] * (ceil(len(pages) / 5) - 1) + [0]
    lists = [one for one in pages if "analytics" not in one[0]]
    assert len(set(lists)) == NEEDED
    assert len(lists) - NEEDED < len(codes)
    assert len(pages) - len(lists) <= REPORT + len(codes)


def test_a_thousand_pages_in_several_runs_under_the_vendors_windows(desk):
    """I3: each run ends with 75, the last with 0, and reads one page again. An hour is made 18 s."""
    scale = 0.005
    config = SandboxConfig(
        customers=99_990, entitlements=0, private_offers=0, days=0, limits=Limits(), window_scale=scale
    )
    with serve(config) as served:
        desk.use(served)
        desk.set(
            application_limits=[[50, 60 * scale], [1000, 3600 * scale]],
        )
        codes = [75]
        while codes[-1] == 75 and len(codes) < 9:
            codes.append(desk.run("sync", "customers", "--max-requests", 260).code)
        brought = [one.page for one in served.sandbox.requests.to("/api/v1/") if one.status == 200]
    # How many runs it takes depends on how many requests are refused: these runs do not know of each other's yet.
    assert codes[-1] == 0
    assert len(codes) > 4
    assert set(brought) == set(range(1, 1001))
    assert len(brought) - 1000 < len(codes)


def test_a_package_that_was_normalized_before_a_kill_does_not_block_the_next_runs(tmp_path):
    """I1: killed between dlt's renaming the normalized package and its deleting the extracted one, it is in both."""
    import dlt

    from automatum import automatum_source
    from automatum.warehouse.target import open_pipeline

    with serve(CONFIG) as served:
        environment = settings_of(served)
        database, folder = tmp_path / "m.duckdb", tmp_path / "p"
        pipeline = open_pipeline(dlt.destinations.duckdb(str(database)), "automatum", str(folder))
        pipeline.extract(automatum_source(served.client_id, served.client_secret, served.base_url, ["customers"]))
        extracted = folder / "automatum" / "normalize" / "extracted"
        (package,) = extracted.iterdir()
        shutil.copytree(package, tmp_path / "kept")
        pipeline.normalize()
        shutil.copytree(tmp_path / "kept", package)
        made = bounded(environment, database, folder, 100)
        rows = served.sandbox.rows.ids("customers")
    assert made["exit_code"] == 0
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT id) FROM automatum.customers").fetchone() == (
            len(rows),
            len(rows),
        )


def test_a_package_whose_tables_are_not_in_the_saved_schema_is_read_again(tmp_path):
    """I1: killed between dlt's committing a package and its saving the schema that the package has made."""
    import dlt

    from automatum import automatum_source
    from automatum.warehouse.target import open_pipeline

    with serve(CONFIG) as served:
        database, folder = tmp_path / "m.duckdb", tmp_path / "p"
        credentials = (served.client_id, served.client_secret, served.base_url)
        pipeline = open_pipeline(dlt.destinations.duckdb(str(database)), "automatum", str(folder))
        pipeline.run(automatum_source(*credentials, ["customers"]))
        schemas = folder / "automatum" / "schemas"
        shutil.copytree(schemas, tmp_path / "kept")
        pipeline.extract(automatum_source(*credentials, ["entitlements"]))
        shutil.rmtree(schemas)
        shutil.copytree(tmp_path / "kept", schemas)
        made = bounded(settings_of(served), database, folder, 100)
    assert (made["exit_code"], made["verdict"]) == (0, "complete")
    with duckdb.connect(str(database)) as connection:
        assert connection.execute("SELECT count(*) FROM automatum.entitlements").fetchone() == (410,)


def bounded(environment, database, folder, requests):
    """A run of at most so many requests, in this process."""
    import dlt

    from automatum.api.session import connect
    from automatum.config.settings import resolve_settings
    from automatum.core.budget import Budget
    from automatum.core.clock import SystemClock
    from automatum.sync.engine import sync
    from automatum.warehouse.target import open_pipeline

    names = {"base_url": "BASE_URL", "client_id": "CLIENT_ID", "client_secret": "CLIENT_SECRET"}
    explicit = {key: environment[f"SOURCES__AUTOMATUM__{name}"] for key, name in names.items()}
    explicit |= {"application_limits": [[10**6, 1]]}
    clock = SystemClock()
    session = connect(resolve_settings(explicit), clock=clock, budget=Budget(clock, max_requests=requests))
    pipeline = open_pipeline(dlt.destinations.duckdb(str(database)), "automatum", str(folder))
    with chunks_of(CHUNK_ROWS):
        summary = sync(session, pipeline)
    return {**summary.to_json(), "exit_code": summary.exit_code}


def test_children_that_a_kill_kept_out_are_loaded_by_the_next_sync_on_a_fresh_machine(small, desk, monkeypatch):
    """I1: a package is loaded table by table, and a row that is there must not pass for unchanged without them."""
    desk.sync()
    whole = dump(desk.database)
    with duckdb.connect(str(desk.database)) as connection:
        for table in ("_dlt_loads", "entitlement_dimensions", "private_offer_payments"):
            connection.execute(f"DELETE FROM automatum.{table}")
    monkeypatch.setenv("DLT_DATA_DIR", str(desk.folder / "fresh"))
    ran = desk.sync()
    assert ran.code == 0
    assert dump(desk.database) == whole
    assert ran.json["tables"]["customers"]["updated"] == 0, "what has no children needs no second look"


def test_a_destination_of_the_version_before_needs_nothing_loaded_again(small, desk, monkeypatch):
    """I3: tables without the column `_dlt_load_id` are read all the same, and get it when a row changes."""
    desk.sync()
    with duckdb.connect(str(desk.database)) as connection:
        for table in ("entitlements", "private_offers"):
            connection.execute(f"ALTER TABLE automatum.{table} DROP COLUMN _dlt_load_id")
    monkeypatch.setenv("DLT_DATA_DIR", str(desk.folder / "fresh"))
    ran = desk.sync()
    assert ran.code == 0
    assert {name: one["updated"] for name, one in ran.json["tables"].items()}["entitlements"] == 0
    assert "cannot be read" not in ran.says
    small.rows.change("entitlements", small.rows.ids("entitlements")[0], {"status": "expired"})
    assert desk.sync().json["tables"]["entitlements"]["updated"] == 1
