"""A local stand-in for the Automatum API: NOT the vendor's API, and no real data.

It serves what the vendor's public pages document (token endpoint, envelope, error bodies, paging, customers, rate
limits, metering body) and assumes the rest; `BEHAVIOUR` lists every behaviour as documented or assumed, with its
source, and so does the page at `GET /`. Demo, notebooks, tests and benchmarks run on it.

    from automatum_sandbox import SandboxConfig, serve

    with serve(SandboxConfig(customers=1_000, limits=None)) as served:
        served.base_url, served.client_id, served.client_secret   # for the connector
        sandbox = served.sandbox                                  # control plane, from any thread
        sandbox.fault("status", "/api/v1/customers", page=2, status=503)
        sandbox.after(3, lambda: sandbox.delete("customers", sandbox.ids("customers")[0]))
        ...
        sandbox.rows("customers"), sandbox.stats(), sandbox.requests("/api/v1/"), sandbox.accepted_metering

With an injected clock no test needs to sleep: `serve(Sandbox(SandboxConfig(), time=lambda: clock[0]))`. The same
control plane is served over HTTP below `/_sandbox`, on loopback only. `python -m automatum_sandbox` serves from the
command line.

It shares nothing with the connector except the paths and scopes of `automatum.endpoints`, so values can be compared
between the two.
"""

from .app import build_app
from .behaviour import BEHAVIOUR, Behaviour
from .config import AppConfig, Limits, OrganizationConfig, SandboxConfig
from .faults import Fault
from .journal import Entry
from .listings import Dimension, Listing
from .metering import Accepted, Billable
from .sandbox import Sandbox
from .server import Serving, run, serve

__all__ = [
    "BEHAVIOUR",
    "Accepted",
    "AppConfig",
    "Behaviour",
    "Billable",
    "Dimension",
    "Entry",
    "Fault",
    "Limits",
    "Listing",
    "OrganizationConfig",
    "Sandbox",
    "SandboxConfig",
    "Serving",
    "build_app",
    "run",
    "serve",
]
