"""What an Airflow is told about a sandbox, a warehouse and a ledger: connections and variables."""

import json

from automatum_sandbox import AppConfig, OrganizationConfig

NAMES = ("acme", "globex")
WIDE = [[100_000, 60]]


def two_organizations(**options):
    """Options of a sandbox with an application and rows of its own for each of `NAMES`."""
    return {
        "traps": True,
        "organizations": tuple(OrganizationConfig(seed=number + 1) for number in range(len(NAMES))),
        "apps": tuple(AppConfig(name, organization=number) for number, name in enumerate(NAMES)),
        **options,
    }


def id_of(sandbox, name):
    """The sandbox's id of an organization."""
    return list(sandbox.organizations)[NAMES.index(name)]


def connections(served, limits=WIDE, **settings):
    """The API, and the credentials of each organization."""
    told = {
        "automatum": {
            "conn_type": "http",
            "host": served.base_url,
            "extra": json.dumps({"application_limits": limits, **settings}),
        }
    }
    for name, known in zip(NAMES, served.sandbox.apps, strict=True):
        told[f"automatum_{name}"] = {"conn_type": "http", "login": known.client_id, "password": known.secret}
    return told


def variables(**options):
    """The list of organizations, and the DAG's options."""
    entries = "".join(f'[[sources.automatum.organizations]]\nname = "{name}"\n' for name in NAMES)
    return {"dlt_secrets_toml": entries, "automatum_dag": json.dumps(options)}


def environment(connections, variables):
    """The same as Airflow's own environment variables."""
    told = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()}
    return {**told, **{f"AIRFLOW_VAR_{name.upper()}": text for name, text in variables.items()}}


def one_organization(served):
    """The first organization, without a name."""
    known = served.sandbox.apps[0]
    said = connections(served)["automatum"]
    return {"automatum": {**said, "login": known.client_id, "password": known.secret}}
