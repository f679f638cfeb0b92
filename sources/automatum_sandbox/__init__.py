"""The sandbox: a local server with the Automatum API and made-up data. It is not the vendor's server.

It serves what the vendor's public pages document (token endpoint, envelope, error bodies, paging, customers, rate
limits, metering body) and assumes the rest. `BEHAVIOUR` lists each behaviour as documented or assumed, with its source;
so does the page at `GET /`. The demo, the notebooks, the tests and the benchmarks use it.

    from automatum_sandbox import SandboxConfig, serve

    with serve(SandboxConfig(customers=1_000, limits=None)) as served:
        served.base_url, served.client_id, served.client_secret   # for the connector
        sandbox = served.sandbox                                  # control plane, from any thread
        sandbox.faults.add("status", "/api/v1/customers", page=2, status=503)
        sandbox.schedule.after(3, lambda: sandbox.rows.delete("customers", sandbox.rows.ids("customers")[0]))
        ...
        sandbox.rows.all("customers"), sandbox.metering.accepted
        sandbox.requests.to("/api/v1/"), sandbox.requests.stats()

Tests inject a clock instead of sleeping: `serve(Sandbox(SandboxConfig(), time=lambda: clock[0]))`. The control plane is
also served over HTTP below `/_sandbox`, to loopback clients only. `python -m automatum_sandbox` serves from the command
line.

Start reading at `sandbox` (state and control plane; each of its parts has a module), then `request_flow` (what happens
to a request), `api_v1` (routes) and `data` (rows). Of the connector it imports `automatum.endpoints` only: paths and
scopes.
"""

from .app import build_app
from .assumptions import BEHAVIOUR, Behaviour
from .business import change_some, write_usage
from .config import AppConfig, Limits, OrganizationConfig, SandboxConfig, parse_limits
from .data.listings import Dimension, Listing
from .faults import Fault
from .metering import AcceptedCall, Billable
from .request_log import LoggedRequest
from .sandbox import Sandbox
from .server import Serving, run, serve

__all__ = [
    "BEHAVIOUR",
    "AcceptedCall",
    "AppConfig",
    "Behaviour",
    "Billable",
    "Dimension",
    "Fault",
    "Limits",
    "Listing",
    "LoggedRequest",
    "OrganizationConfig",
    "Sandbox",
    "SandboxConfig",
    "Serving",
    "build_app",
    "change_some",
    "parse_limits",
    "run",
    "serve",
    "write_usage",
]
