"""The samples of the vendor's page `api/authentication`, run as they stand against the sandbox.

`tests/support/vendor_samples` holds them verbatim. A test replaces the host, and for Node takes out TypeScript's types.
Some samples do not work as they stand, on any server: the tests say why. The page's Python sample is in
`tests/integration/sandbox/test_server.py`. These tests need `node` (18 or newer), `curl` and `jq`.
"""

import json
import os
import shutil
import subprocess

import pytest

from tests.support import ROOT

SAMPLES = ROOT / "tests" / "support" / "vendor_samples"
HOST = "https://api.automatum.io"
CUSTOMERS = "/api/v1/customers"
TYPES = (
    ("  private clientId: string;\n  private clientSecret: string;\n", ""),
    ("  private accessToken?: string;\n  private tokenExpiresAt?: number;\n", ""),
    ("(clientId: string, clientSecret: string)", "(clientId, clientSecret)"),
    ("(): Promise<string>", "()"),
    ("(method: string, endpoint: string, data?: any)", "(method, endpoint, data)"),
    ("(data: any)", "(data)"),
    ("_CLIENT_ID!", "_CLIENT_ID"),
    ("_CLIENT_SECRET!", "_CLIENT_SECRET"),
)
"""TypeScript to JavaScript, for the sample that has types."""
AXIOS = """
// What the sample uses of axios, on Node's own fetch.
const axios = async ({ method, url, headers, data }) => {
  const body = data === undefined || data instanceof URLSearchParams ? data : JSON.stringify(data);
  const response = await fetch(url, { method, headers, body });
  if (!response.ok) throw new Error(`Request failed with status code ${response.status}`);
  return { data: await response.json() };
};
axios.post = (url, data, { headers }) => axios({ method: "POST", url, headers, data });
export default axios;
"""
TOKEN = """
async function newToken() {
  const form = { grant_type: "client_credentials", client_id: process.env.CLIENT_ID,
    client_secret: process.env.CLIENT_SECRET };
  const response = await fetch("%s/oauth/token", { method: "POST", body: new URLSearchParams(form) });
  return (await response.json()).access_token;
}
"""


def tool(name):
    found = shutil.which(name)
    assert found, f"{name} is not installed. On Debian: apt-get install nodejs curl jq"
    return found


@pytest.fixture
def served(start):
    return start(customers=250, entitlements=40, private_offers=0, days=0, traps=False)


def sample(name, served):
    """A sample with the sandbox's host."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    return text.replace(HOST, served.base_url)


def run(command, served, **environment):
    """Run a command with the credentials under both names that the page uses."""
    known = {"CLIENT_ID": served.client_id, "CLIENT_SECRET": served.client_secret}
    known |= {f"AUTOMATUM_{name}": value for name, value in known.items()}
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(command, env={**kept, **known, **environment}, capture_output=True, text=True, timeout=120)


def node(folder, source, served, **environment):
    """Run JavaScript; what it prints, or the last error that it names."""
    (folder / "node_modules" / "axios").mkdir(parents=True, exist_ok=True)
    (folder / "node_modules" / "axios" / "package.json").write_text('{"type": "module", "exports": "./index.js"}')
    (folder / "node_modules" / "axios" / "index.js").write_text(AXIOS)
    (folder / "sample.mjs").write_text(source, encoding="utf-8")
    made = run([tool("node"), str(folder / "sample.mjs")], served, **environment)
    return json.loads(made.stdout) if made.returncode == 0 else made.stderr


@pytest.mark.slow
def test_the_node_sample_reads_and_meters_with_one_token(served, tmp_path):
    """It works. It reads the first 20 rows only: the sample does not follow pages."""
    source, sandbox = sample("client.ts", served), served.sandbox
    for typed, plain in TYPES:
        assert typed in source
        source = source.replace(typed, plain)
    one = sandbox.metering.billable()[0]
    key, price = next(iter(one.prices.items()))
    usage = {"apiKey": key, "units": 1, "title": "x", "description": "", "per": "unit", "price": price}
    details = {"customer": {"id": one.customer_id}, "charged": float(price), "usages": [usage]}
    details["reportingDate"] = sandbox.rows.all("customers")[-1]["updatedAt"][:10]
    body = {"vendor": one.vendor, "listingId": one.listing_id, "details": details}
    source += """
const accepted = await client.submitMetering(JSON.parse(process.env.BODY));
const refused = await client.submitMetering({}).catch(error => error.message);
console.log(JSON.stringify({ customers, accepted, refused }));
"""
    told = node(tmp_path, source, served, BODY=json.dumps(body))
    assert told["customers"]["data"] == sandbox.rows.all("customers")[:20]
    assert told["accepted"]["data"]["id"] == sandbox.metering.accepted[0].id
    assert told["refused"] == "Request failed with status code 400"
    assert sandbox.requests.stats()["tokens"] == 1


@pytest.mark.slow
def test_the_curl_sample_reads_customers(served, tmp_path):
    """It works, with jq."""
    tool("curl"), tool("jq")
    made = run([tool("bash"), "-e", "-c", sample("curl.sh", served)], served)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["data"] == served.sandbox.rows.all("customers")[:20]


@pytest.mark.slow
def test_the_refresh_sample_gets_a_token_and_forgets_it(served, tmp_path):
    """The vendor's defect: `currentToken` is neither declared nor set, so only a call that refreshes returns."""
    source = sample("refresh.ts", served)
    assert "ReferenceError: currentToken is not defined" in node(tmp_path, f"{source}\nawait getValidToken();", served)
    assert served.sandbox.requests.stats()["tokens"] == 0
    once = f"{source}\ntokenExpiresAt = 0;\nconst token = await getValidToken();\n"
    assert node(tmp_path, f"{once}console.log(JSON.stringify(token.length));", served) > 10
    assert "ReferenceError: currentToken is not defined" in node(tmp_path, f"{once}await getValidToken();", served)


@pytest.mark.slow
def test_the_error_sample_cannot_refresh(served, tmp_path):
    """The vendor's defects: `refreshToken` is not defined, and its result would not be used by the retry."""
    source = sample("errors.ts", served) + TOKEN % served.base_url
    url = f"{served.base_url}{CUSTOMERS}"
    good = f"{source}\nconst getValidToken = newToken;\n"
    shown = f"console.log(JSON.stringify(await makeAPIRequest('{url}')));"
    assert node(tmp_path, good + shown, served)["data"] == served.sandbox.rows.all("customers")[:20]
    stale = f"{source}\nconst getValidToken = async () => 'stale';\n"
    assert "ReferenceError: refreshToken is not defined" in node(tmp_path, stale + shown, served)
    # With the missing function it asks with the old token until something else stops it.
    served.sandbox.requests.clear()
    stops = (
        "let refreshed = 0;\nconst refreshToken = async () => { if (++refreshed === 5) throw new Error('enough'); };\n"
    )
    assert "enough" in node(tmp_path, stale + stops + shown, served)
    assert [entry.status for entry in served.sandbox.requests.to(CUSTOMERS)] == [401] * 5


@pytest.mark.slow
def test_the_backoff_sample_sends_no_token_and_ends_without_data(served, tmp_path):
    """The vendor's defects: no Authorization header, `sleep` is not defined, and no error after the last 429."""
    source, sandbox = sample("backoff.ts", served), served.sandbox
    shown = f"const found = await makeRequestWithBackoff('{served.base_url}{CUSTOMERS}');\n"
    told = node(tmp_path, f"{source}{shown}console.log(JSON.stringify(found));", served)
    assert told == {"code": 401, "message": "Invalid token"}

    sandbox.faults.add("status", CUSTOMERS, status=429, headers={"Retry-After": "7"}, count=None)
    token = f"{TOKEN % served.base_url}\nconst plain = globalThis.fetch, token = await newToken();\n"
    token += "globalThis.fetch = url => plain(url, { headers: { Authorization: `Bearer ${token}` } });\n"
    assert "ReferenceError: sleep is not defined" in node(tmp_path, f"{source}{token}{shown}", served)
    assert [entry.status for entry in sandbox.requests.to(CUSTOMERS)] == [401, 429, 429, 429]  # without a wait
    # With the missing function it waits Retry-After times 1, 2 and 4, and then returns nothing.
    sleep = "const waits = [];\nconst sleep = async wait => waits.push(wait);\n"
    last = "console.log(JSON.stringify({ waits, found: found === undefined }));"
    told = node(tmp_path, f"{source}{token}{sleep}{shown}{last}", served)
    assert told == {"waits": [7000, 14000, 28000], "found": True}
