"""The notebooks, run top to bottom in a kernel of their own: with the sandbox, and with credentials alone.

`make notebooks` keeps their pictures. Nothing of a run is committed: `make strip`.
"""

import importlib.util
import json
import os
import re
import shutil
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import ROOT
from tests.support.desk import api_requests

FOLDER = ROOT / "notebooks"
NAMES = ("01_quickstart", "02_revenue_and_metering")
MARKETPLACES = {"aws": "AWS", "azure": "Azure", "gcp": "Google Cloud"}
OKABE_ITO = {"000000", "E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "999999"}

_spec = importlib.util.spec_from_file_location("strip", FOLDER / "strip.py")
strip = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(strip)


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Where a kernel starts: all it writes is in the test's folder, a warning in it is an error, as here."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "TMPDIR"):
        (tmp_path / name.lower()).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    # Fonts are looked for once a checkout, not once a test: that takes longer than the notebook.
    monkeypatch.setenv("MPLCONFIGDIR", str(ROOT / ".cache" / "matplotlib"))
    monkeypatch.setenv("DLT_PROJECT_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # The exception is for ipykernel 7.4, which warns itself when it is told to end.
    monkeypatch.setenv("PYTHONWARNINGS", "error,ignore::PendingDeprecationWarning")
    if "PICTURES" in os.environ:
        Path(os.environ["PICTURES"]).mkdir(parents=True, exist_ok=True)
    return tmp_path


class Run:
    """A notebook that has run.

    Args:
        name: Of the notebook.
        folder: Where it lies, and runs.
        told: File for what the kernel has to tell.
        facts: Name to an expression of the notebook, told before its last cell closes everything.
    """

    def __init__(self, name, folder, told, **facts):
        self.text = (folder / f"{name}.ipynb").read_text(encoding="utf-8")
        self.notebook = nbformat.reads(self.text, as_version=4)
        asked = ", ".join(f"{key}={expression}" for key, expression in facts.items())
        self._add("setup", f"import tests.support.pictures\ntests.support.pictures.watch({name!r})", after=True)
        self._add("close", f"tests.support.pictures.tell({str(told)!r}, {asked})", after=False)
        NotebookClient(self.notebook, timeout=100, resources={"metadata": {"path": str(folder)}}).execute()
        self.told = json.loads(told.read_text(encoding="utf-8"), parse_float=Decimal)
        self.pictures = self.told["pictures"]
        self.notebook.cells = [cell for cell in self.notebook.cells if not cell.id.startswith("test-")]
        self.outputs = nbformat.writes(self.notebook)

    def _add(self, id_, source, after):
        place = [cell.id for cell in self.notebook.cells].index(id_) + after
        cell = nbformat.v4.new_code_cell(source, id=f"test-{id_}")
        self.notebook.cells.insert(place, cell)

    def printed(self, stream):
        """What a stream got, by the id of the cell."""
        found = defaultdict(str)
        for cell in self.notebook.cells:
            for output in cell.get("outputs", ()):
                if output.output_type == "stream" and output.name == stream:
                    found[cell.id] += output.text
        return dict(found)

    def picture(self, words):
        """The one picture whose title holds these words."""
        (found,) = [one for one in self.pictures if words in one["title"]]
        return found


def stays_clean(run, folder, before):
    """I6, and what a run leaves: no secret, nothing beside the notebook, nothing that stripping would not take out."""
    assert run.told["secret"] not in run.outputs
    assert not re.search(r"secret_\w|Bearer", run.outputs)
    assert strip.stripped(run.outputs) == run.text
    assert sorted(folder.iterdir()) == before


def presentable(pictures):
    """Each picture has a finding as title, labels with units, bars from zero in safe colours, and readable texts."""
    for one in pictures:
        assert len(one["title"]) > 20, one
        assert one["overlaps"] == [], one
        assert one["beyond"] == [], one
        for panel in one["panels"]:
            assert panel["x"] and panel["y"], one
            assert panel["from_zero"], one
            assert panel["bars"], one
            colours = {"".join(f"{round(255 * part):02X}" for part in bar["colour"][:3]) for bar in panel["bars"]}
            assert colours <= OKABE_ITO, one


def of_currency(panel, picture):
    """Currencies that the texts of a panel name."""
    texts = (panel["title"], panel["x"], panel["y"], *((picture["title"],) if len(picture["panels"]) == 1 else ()))
    return {found for text in texts for found in re.findall(r"\b[A-Z]{3}\b", text)} - {"AWS"}


def close(bars, expected, unit):
    """Bars in a unit against exact sums."""
    assert len(bars) == len(expected), (bars, expected)
    for bar, amount in zip(bars, expected, strict=True):
        assert float(bar) == pytest.approx(float(amount / unit), abs=1e-9)


def test_the_quickstart_shows_what_the_api_holds_and_what_a_second_sync_changed(kernel):
    """I1, I3: the copy holds the API's rows, the picture its revenue, the last table exactly what was changed."""
    before = sorted(FOLDER.iterdir())
    run = Run(
        "01_quickstart",
        FOLDER,
        kernel / "told.json",
        secret="served.client_secret",
        first="first.to_json()",
        second="second.to_json()",
        forecast="forecast.requests",
        changed="changed.reset_index().to_dict('records')",
        read="len(customers)",
        rows="{table: sandbox.rows.all(table) for table in ('customers', 'entitlements', 'private_offers')}",
        held="{one: query(f'SELECT id FROM {one} WHERE _deleted_at IS NULL').id.tolist() for one in "
        "('customers', 'entitlements', 'private_offers')}",
        revenue="sandbox.organizations[sandbox.organization_id].revenue"
        ".between(date.today() - timedelta(days=400), date.today(), date.today())",
        asked="[entry.path for entry in sandbox.requests.to('/api/v1/')]",
    )
    stays_clean(run, FOLDER, before)
    assert run.printed("stderr") == {}
    presentable(run.pictures)
    told = run.told
    # Three, five and two pages, and the windows of a report with their proofs.
    assert 10 < told["forecast"] <= told["first"]["requests"] < 30
    assert told["first"]["verdict"] == told["second"]["verdict"] == "complete"
    assert told["read"] == 240
    # A forecast, a sync, the customers alone, a sync, and the URL of the one that is gone, after that of a listed one.
    assert sum("/analytics/" not in path for path in told["asked"]) == 3 + 10 + 3 + 10 + 2
    for table, rows in told["rows"].items():
        assert sorted(told["held"][table]) == sorted(row["id"] for row in rows)
    counted = Counter((one["before"] == "absent", one["now"]) for one in told["changed"])
    suspended = {row["id"] for row in told["rows"]["customers"] if row["status"] == "suspended"}
    assert {one["id"] for one in told["changed"] if one["now"] == "suspended"} == suspended
    assert len(suspended) == 3
    assert counted[False, "absent"] == 1
    assert sum(count for (new, _), count in counted.items() if new) == 2
    assert len(told["changed"]) == 6
    _shows_revenue(run, told["revenue"])


def _shows_revenue(run, records):
    months = defaultdict(lambda: defaultdict(Decimal))
    for one in records:
        months[one["currency"], one["vendor"]][one["date"][:7]] += Decimal(one["netRevenue"])
    last = date.today().replace(day=1) - timedelta(days=1)
    full = [month for month in sorted(months["USD", "aws"]) if month <= f"{last:%Y-%m}"][-12:]
    assert len(full) == 12
    currencies = {currency for currency, _ in months}
    assert len(run.pictures) == len(currencies) == 3
    for picture in run.pictures:
        (panel,) = picture["panels"]
        (currency,) = of_currency(panel, picture)
        currencies.remove(currency)
        expected = [months[currency, vendor][month] for vendor in ("aws", "azure") for month in full]
        close([bar["height"] for bar in panel["bars"]], expected, 10**3)
        assert f"12 months brought {sum(expected) / 10**3:,.0f} thousand {currency} net" in picture["title"]


def test_the_second_notebook_shows_what_the_api_holds_and_bills_each_line_once(kernel):
    """I1: each bar is the API's amounts in one currency. I5: the unknown are settled, and nothing goes twice."""
    before = sorted(FOLDER.iterdir())
    run = Run(
        "02_revenue_and_metering",
        FOLDER,
        kernel / "told.json",
        secret="served.client_secret",
        entitlements="sandbox.rows.all('entitlements')",
        offers="sandbox.rows.all('private_offers')",
        soon="len(soon)",
        usage="usage.to_dict('records')",
        dry="dry.lines",
        pushed="pushed.lines",
        settled="settled['lines']",
        again="again.to_json()",
        bodies="[call.body for call in sandbox.metering.accepted]",
        sent="[entry.path for entry in sandbox.requests.to('/api/v1/metering')]",
    )
    stays_clean(run, FOLDER, before)
    presentable(run.pictures)
    told = run.told
    active = [row for row in told["entitlements"] if row["status"] == "active"]
    _shows_value(run.picture("of the active contract value"), active)
    _shows_renewals(run.picture("end within 90 days"), active, told["soon"])
    _shows_offers(run.picture("private offers"), told["offers"])
    lines = len(told["usage"])
    assert lines >= 12
    assert told["dry"] == {**dict.fromkeys(told["dry"], 0), "to_send": lines}
    assert told["pushed"]["unknown"] > 0
    assert told["pushed"]["accepted"] + told["pushed"]["unknown"] == lines
    assert told["settled"]["confirmed"] == told["pushed"]["accepted"]
    assert told["settled"]["settled"] == told["pushed"]["unknown"]
    assert told["settled"]["unknown"] == 0
    assert told["again"]["already_accepted"] == lines
    assert told["again"]["requests"] == 0
    billed = Counter(
        (body["details"]["customer"]["id"], body["listingId"], usage["apiKey"], Decimal(str(usage["units"])))
        for body in told["bodies"]
        for usage in body["details"]["usages"]
    )
    wanted = Counter(
        (row["customer_id"], row["listing_id"], row["dimension"], Decimal(row["units"])) for row in told["usage"]
    )
    assert billed == wanted
    assert max(billed.values()) == 1
    # Usage that names its entitlement has a body of its own.
    pairs = {(row["customer_id"], row["listing_id"], str(row["entitlement_id"])) for row in told["usage"]}
    assert len(told["sent"]) == len(told["bodies"]) == len(pairs) >= 12
    _shows_outcome(run.picture("usage lines"), lines, told["pushed"])
    # The two answers that were lost are told of, in the cell that pushed, and nothing else is.
    said = run.printed("stderr")
    assert list(said) == ["push"]
    assert said["push"].count("\n") == said["push"].count("is not known, so it is not sent again") == 2


def _sums(rows, key):
    """Currency to key to the exact sum of the values."""
    found = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        found[row["currency"]][key(row)] += Decimal(row["value"] or 0)
    return found


def _shows_value(picture, active):
    sums = _sums(active, lambda row: row["vendor"])
    assert {panel["title"] for panel in picture["panels"]} == set(sums) == {"USD", "EUR", "GBP"}
    names = picture["panels"][0]["names"]
    assert set(names) == {MARKETPLACES[row["vendor"]] for row in active}
    for panel in picture["panels"]:
        currency = panel["title"]
        assert of_currency(panel, picture) == {currency}
        by_name = {MARKETPLACES[vendor]: amount for vendor, amount in sums[currency].items()}
        close([bar["width"] for bar in panel["bars"]], [by_name.get(name, Decimal(0)) for name in names], 10**3)
    main = max(sums, key=lambda currency: sum(row["currency"] == currency for row in active))
    most = max(sums[main], key=sums[main].get)
    assert f"{MARKETPLACES[most]} holds {sums[main][most] / sum(sums[main].values()):.0%}" in picture["title"]
    assert f"in {main}" in picture["title"]
    unpriced = sum(row["value"] is None for row in active)
    left_out = f", of which {unpriced} have no value and are not shown" if unpriced else ""
    assert f"{len(active)} active entitlements{left_out}." in picture["note"]


def _shows_renewals(picture, active, soon):
    today = date.today()
    first = today.replace(day=1)
    dated = [row for row in active if row["endDate"] and date.fromisoformat(row["endDate"]) >= today]
    due = [row for row in dated if date.fromisoformat(row["endDate"]) < first.replace(year=first.year + 1)]
    near = [row for row in due if date.fromisoformat(row["endDate"]) <= today + timedelta(days=90)]
    assert soon == len(near)
    by_hand = sum(row.get("autoRenew") is False for row in near)
    assert picture["title"].startswith(f"{by_hand} of the {len(near)} contracts")
    assert picture["note"].startswith(f"{today:%B} starts today")

    def place(row):
        end = date.fromisoformat(row["endDate"])
        return [True, None, False].index(row.get("autoRenew")), (end.year - first.year) * 12 + end.month - first.month

    sums = _sums(due, place)
    assert {panel["title"] for panel in picture["panels"]} == set(sums)
    for panel in picture["panels"]:
        currency = panel["title"]
        assert of_currency(panel, picture) == {currency}
        places = [(renewal, month) for renewal in range(3) for month in range(12)]
        close([bar["height"] for bar in panel["bars"]], [sums[currency][one] for one in places], 10**3)


def _shows_offers(picture, offers):
    steps = {"created": len(offers)}
    for step in ("sent", "viewed", "accepted"):
        steps[step] = sum(row.get(f"{step}At") is not None for row in offers)
    (panel,) = picture["panels"]
    assert panel["names"] == list(steps)
    assert [bar["width"] for bar in panel["bars"]] == list(steps.values())
    lost = {now: steps[before] - steps[now] for before, now in pairwise(steps)}
    assert picture["title"].startswith(f"{steps['accepted']} of {steps['created']} private offers were accepted")
    assert picture["title"].endswith(f"before being {max(lost, key=lost.get)}")


def _shows_outcome(picture, lines, pushed):
    (panel,) = picture["panels"]
    assert panel["names"] == ["dry run", "after the push", "after the events"]
    widths = [bar["width"] for bar in panel["bars"]]
    names = ("to_send", "accepted", "confirmed", "unknown", "settled")
    states = {name: widths[3 * place : 3 * place + 3] for place, name in enumerate(names)}
    assert states["to_send"] == [lines, 0, 0]
    assert states["accepted"] == [0, pushed["accepted"], 0]
    assert states["confirmed"] == [0, 0, pushed["accepted"]]
    assert states["settled"] == [0, 0, pushed["unknown"]]
    assert states["unknown"] == [0, pushed["unknown"], 0]
    assert picture["title"].startswith(
        f"{pushed['accepted']} of {lines} usage lines are confirmed; {pushed['unknown']} were unknown"
    )


def test_with_credentials_alone_the_notebooks_run_on_ones_own_account_and_bill_nothing(kernel, start, monkeypatch):
    """I5: made-up usage never goes out; what is loaded stays beside the notebook, for the next run to go on with."""
    served = start(customers=60, entitlements=150, private_offers=40, traps=False)
    monkeypatch.delenv("PICTURES", raising=False)
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", served.client_id)
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", served.client_secret)
    monkeypatch.setenv("SOURCES__AUTOMATUM__BASE_URL", served.base_url)
    mine = shutil.copytree(FOLDER, kernel / "notebooks")
    for position, name in enumerate(NAMES):
        facts = (
            {"in_sandbox": "in_sandbox"} if name == NAMES[0] else {"in_sandbox": "in_sandbox", "lines": "pushed.lines"}
        )
        run = Run(name, mine, kernel / f"{position}.json", **facts)
        assert run.told["in_sandbox"] is False
        assert served.client_secret not in run.outputs
        assert run.printed("stderr") == {}
        presentable(run.pictures)
    assert run.told["lines"]["to_send"] > 0
    asked = api_requests(served.sandbox)
    assert "metering" not in asked
    with duckdb.connect(str(mine / "marketplace.duckdb"), read_only=True) as connection:
        held = connection.execute("SELECT id FROM automatum.customers ORDER BY ALL").fetchall()
    assert [id_ for (id_,) in held] == sorted(served.sandbox.rows.ids("customers"))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_committed_holds_nothing_that_a_run_leaves(name):
    """Each cell has an id that was chosen, and nothing but its source."""
    text = (FOLDER / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert strip.stripped(text) == text
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", id_) for id_ in ids), ids
    for cell in notebook.cells:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"outputs", "execution_count"} if cell.cell_type == "code" else set()
        )
        assert cell.source == cell.source.strip()
        assert all(len(line) <= 130 for line in cell.source.splitlines()), cell.id


def test_no_notebook_is_left_out_of_these_tests():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


def test_stripping_takes_out_a_run_and_keeps_the_source(tmp_path, capsys):
    """`make strip`; with --check it only says so, and fails."""
    text = (FOLDER / f"{NAMES[0]}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    for number, cell in enumerate(notebook.cells):
        cell.metadata["collapsed"] = True
        if cell.cell_type == "code":
            cell.execution_count = number
            cell.outputs = [nbformat.v4.new_output("stream", text="secret_of_a_run")]
    notebook.metadata["language_info"]["version"] = "3.99"
    path = tmp_path / "ran.ipynb"
    nbformat.write(notebook, path)
    ran = path.read_text(encoding="utf-8")
    assert strip.main(["--check", str(path)]) == 1
    assert path.read_text(encoding="utf-8") == ran
    assert strip.main([str(path)]) == 0
    assert path.read_text(encoding="utf-8") == text
    capsys.readouterr()
    assert strip.main(["--check", str(path)]) == 0
    assert capsys.readouterr().out == ""
