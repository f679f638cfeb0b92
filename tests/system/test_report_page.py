"""The report in a real browser: no request, no message on the console, no violation of axe's rules, light and dark.

Needs `chromium`, and npm's registry for axe. `PICTURES=folder` keeps pictures of the page.
"""

import json
import os
import re
import shutil
import subprocess
import tarfile
from html import unescape
from pathlib import Path

import pytest

from tests.support.report_stage import report_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (shutil.which("chromium") and shutil.which("npm")), reason="needs chromium and npm"),
]
AXE = "axe-core@4.10.3"
_RUN = """
axe.run(document, {resultTypes: ["violations"]}).then(found => {
  const made = document.createElement("pre");
  made.id = "axe";
  made.textContent = JSON.stringify([found.passes.length, found.violations.map(one => [one.id, one.nodes[0].html])]);
  document.body.append(made);
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    file = folder / "report.html"
    file.write_text(report_of("duckdb", folder).to_html(), encoding="utf-8")
    return file


def browse(page, *options):
    """Open a page in the browser; its document as text, and what the browser logged."""
    command = ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-sync"]
    command += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    command += ["--enable-logging=stderr", f"--user-data-dir={page.parent}/profile", *options, page.as_uri()]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout, ran.stderr


def asked_by_page(log):
    """Addresses that the page asked for; what the browser asks for by itself has no origin."""
    found = [one.get("params", {}) for one in json.loads(log.read_text(encoding="utf-8"))["events"]]
    own = [one["url"] for one in found if one.get("initiator", "not an origin") != "not an origin" and "url" in one]
    return sorted({one for one in own if one.startswith("http")})


def test_the_browser_asks_for_nothing_and_complains_of_nothing(page, tmp_path):
    log = tmp_path / "net.json"
    document, said = browse(page, "--dump-dom", f"--log-net-log={log}")
    assert "Revenue by month" in document
    assert "CONSOLE" not in said, said
    assert asked_by_page(log) == []
    # The same page with a picture from elsewhere, so that the test can fail.
    text = page.read_text(encoding="utf-8").replace("default-src 'none'", "default-src *")
    loading = page.with_name("loading.html")
    loading.write_text(text.replace("</body>", '<img src="http://127.0.0.1:9/x.png" alt=""></body>'))
    browse(loading, "--dump-dom", f"--log-net-log={log}")
    assert asked_by_page(log) == ["http://127.0.0.1:9/x.png"]


@pytest.mark.parametrize(("scheme", "number"), [("light", 1), ("dark", 0)])
def test_axe_finds_no_violation(page, tmp_path, scheme, number):
    subprocess.run(["npm", "pack", "--silent", AXE], cwd=tmp_path, check=True, capture_output=True, timeout=120)
    with tarfile.open(next(tmp_path.glob("axe-core-*.tgz"))) as packed:
        script = packed.extractfile("package/axe.min.js").read().decode()
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    script = script.replace("</script", "<\\/script")
    checked = page.with_name(f"{scheme}.html")
    checked.write_text(text.replace("</body>", f"<script>{script}</script><script>{_RUN}</script></body>"))
    options = ("--dump-dom", "--virtual-time-budget=30000", f"--blink-settings=preferredColorScheme={number}")
    document, _ = browse(checked, *options)
    passes, violations = json.loads(unescape(re.search(r'<pre id="axe">(.*?)</pre>', document, re.DOTALL)[1]))
    assert violations == []
    assert passes > 10


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_no_wider_than_the_window(page, width):
    text = page.read_text(encoding="utf-8").replace(
        "default-src 'none';", "default-src 'none'; script-src 'unsafe-inline';"
    )
    measured = page.with_name(f"{width}.html")
    measured.write_text(
        text.replace("</body>", "<script>document.title = document.documentElement.scrollWidth</script></body>")
    )
    pictures = Path(os.environ.get("PICTURES", page.parent))
    for scheme, number in (("light", 1), ("dark", 0)):
        picture = f"--screenshot={pictures}/report-{width}-{scheme}.png"
        browse(page, picture, f"--window-size={width},4200", f"--blink-settings=preferredColorScheme={number}")
    document, _ = browse(measured, "--dump-dom", f"--window-size={width},900")
    assert int(re.search(r"<title>(\d+)</title>", document)[1]) <= max(width, 500)  # The browser's least width.
