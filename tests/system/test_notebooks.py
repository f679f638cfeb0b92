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
from pathlib import Path

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from tests.support import ROOT
from tests.support.desk import api_requests

FOLDER = ROOT / "notebooks"
NAMES = ("01_quickstart", "02_revenue_and_renewals", "03_usage_and_offers")
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
        changed="changed.reset_index().to_dict('records')",
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
    assert 10 < told["first"]["requests"] < 30
    assert told["first"]["verdict"] == told["second"]["verdict"] == "complete"
    # A sync, a sync, and the URL of the one that is gone, after that of a listed one.
    assert sum("/analytics/" not in path for path in told["asked"]) == 10 + 10 + 2
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


ANSWERS = "tests.support.pictures.answers(target.database)"


def test_the_second_notebook_shows_contract_value_retention_and_what_ends(kernel):
    """Each bar and title is what a second computation says, in one currency."""
    before = sorted(FOLDER.iterdir())
    run = Run("02_revenue_and_renewals", FOLDER, kernel / "told.json", secret="served.client_secret", answers=ANSWERS)
    stays_clean(run, FOLDER, before)
    assert run.printed("stderr") == {}
    presentable(run.pictures)
    answers = run.told["answers"]
    _shows_value(run.picture("of the annual contract value"), answers["contract_value_daily"])
    _shows_retention(run.picture("of a year ago is still there"), answers["retention_monthly"])
    _shows_renewals(run.picture("end within 90 days"), answers["contracts_ending"])


def test_the_third_notebook_shows_offers_and_bills_each_line_once(kernel):
    """I5: the unknown are settled, and nothing goes twice; the pictures are what a second computation says."""
    before = sorted(FOLDER.iterdir())
    run = Run(
        "03_usage_and_offers",
        FOLDER,
        kernel / "told.json",
        secret="served.client_secret",
        answers=ANSWERS,
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
    _shows_offers(run.picture("private offers"), told["answers"]["offers_open"])
    _shows_usage(run.picture("of the usage in"), told["answers"]["usage_by_month"])
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
    # The two answers that were lost are told of, in the cell that pushed, and nothing else is.
    said = run.printed("stderr")
    assert list(said) == ["push"]
    assert said["push"].count("\n") == said["push"].count("is not known, so it is not sent again") == 2


def _sums(rows, key, name="value"):
    """Currency to key to the exact sum of the values."""
    found = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        found[row["currency"]][key(row)] += Decimal(row[name] or 0)
    return found


def _shows_value(picture, daily):
    sums = _sums(daily, lambda row: row["vendor"])
    assert {panel["title"] for panel in picture["panels"]} == set(sums) >= {"USD", "EUR", "GBP"}
    names = picture["panels"][0]["names"]
    for panel in picture["panels"]:
        currency = panel["title"]
        assert of_currency(panel, picture) == {currency}
        by_name = {MARKETPLACES[vendor]: amount for vendor, amount in sums[currency].items()}
        close([bar["width"] for bar in panel["bars"]], [by_name.get(name, Decimal(0)) for name in names], 10**3)
    contracts = Counter()
    for row in daily:
        contracts[row["currency"]] += row["contracts"]
    main = contracts.most_common(1)[0][0]
    most = max(sums[main], key=sums[main].get)
    assert f"{MARKETPLACES[most]} holds {sums[main][most] / sum(sums[main].values()):.0%}" in picture["title"]
    assert f"in {main}" in picture["title"]
    assert f"{sum(contracts.values())} contracts run" in picture["note"]


def _shows_retention(picture, rows):
    last = max(row["month"] for row in rows)
    rows = sorted((row for row in rows if row["month"] == last), key=lambda row: (-row["customers"], row["currency"]))
    (panel,) = picture["panels"]
    assert panel["names"] == [row["currency"] for row in rows]
    shares = [Decimal(row[f"{kind}_retention"]) * 100 for kind in ("gross", "net") for row in rows]
    close([bar["width"] for bar in panel["bars"]], shares, 1)
    assert picture["title"].startswith(f"{float(shares[0]):.0f} % of the contract value in {rows[0]['currency']}")


def _shows_renewals(picture, ending):
    near = [row for row in ending if row["days_left"] <= 90]
    assert f"of the {len(near)} contracts that end within 90 days" in picture["title"]
    sums = _sums(ending, lambda row: row["bucket"])
    assert {panel["title"] for panel in picture["panels"]} == set(sums)
    for panel in picture["panels"]:
        assert of_currency(panel, picture) == {panel["title"]}
        assert len(panel["bars"]) == 4 * 5
        stacked = [sum(Decimal(bar["height"]) for bar in panel["bars"][place::5]) for place in range(5)]
        close(stacked, [sums[panel["title"]][bucket] for bucket in (30, 60, 90, 120, 180)], 10**3)


def _shows_offers(picture, offers):
    hanging = [row for row in offers if row["hangs"]]
    oldest = max(row["days_in_state"] for row in offers)
    assert picture["title"].startswith(f"{len(hanging)} of {len(offers)} open private offers hang")
    assert picture["title"].endswith(f"waits for {oldest} days")
    (panel,) = picture["panels"]
    counts = Counter((row["hangs"], row["status"]) for row in offers)
    expected = [counts[hangs, name] for hangs in (True, False) for name in panel["names"]]
    assert [bar["width"] for bar in panel["bars"]] == expected


def _shows_usage(picture, rows):
    names = ("measured", "accepted", "confirmed", "open", "refused", "written_off")
    sums = {name: _sums(rows, lambda row: "", f"{name}_amount") for name in names}
    assert {panel["title"] for panel in picture["panels"]} == {row["currency"] for row in rows}
    for panel in picture["panels"]:
        currency = panel["title"]
        assert of_currency(panel, picture) == {currency}
        close([bar["width"] for bar in panel["bars"]], [sums[name][currency][""] for name in names], 1)
    main = picture["panels"][0]["title"]
    share = sums["confirmed"][main][""] / sums["measured"][main][""]
    assert picture["title"].startswith(f"{share:.0%} of the usage in {main} is confirmed")


def test_with_credentials_alone_the_notebooks_run_on_ones_own_account_and_bill_nothing(kernel, start, monkeypatch):
    """I5: made-up usage never goes out; what is loaded stays beside the notebook, for the next run to go on with."""
    served = start(customers=60, entitlements=150, private_offers=40, traps=False)
    monkeypatch.delenv("PICTURES", raising=False)
    monkeypatch.setenv("AUTOMATUM_CLIENT_ID", served.client_id)
    monkeypatch.setenv("AUTOMATUM_CLIENT_SECRET", served.client_secret)
    monkeypatch.setenv("SOURCES__AUTOMATUM__BASE_URL", served.base_url)
    mine = shutil.copytree(FOLDER, kernel / "notebooks")
    for position, name in enumerate(NAMES):
        facts = {"in_sandbox": "in_sandbox"} | ({"lines": "dry.lines"} if name == NAMES[-1] else {})
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
