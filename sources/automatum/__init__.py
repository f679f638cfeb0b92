"""A dlt source and metering push for Automatum, the platform through which software vendors sell on cloud marketplaces.

    import dlt
    from automatum import automatum_source

    pipeline = dlt.pipeline("automatum", destination="duckdb", dataset_name="marketplace")
    pipeline.run(automatum_source())

Credentials come from dlt's configuration (`[sources.automatum]` in `.dlt/secrets.toml`) or from the environment
(`AUTOMATUM_CLIENT_ID`, `AUTOMATUM_CLIENT_SECRET`).
"""

from .source import automatum_source

__all__ = ["automatum_source"]
__version__ = "0.1.0"
