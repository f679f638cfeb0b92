"""The dlt source, with one resource for each list and each report.

    pipeline = Target(database=Path("marketplace.duckdb")).pipeline()
    pipeline.run(automatum_source())
    pipeline.run(automatum_source().with_resources("customers"))
    tables = list(automatum_source().customers)     # pyarrow tables, without a pipeline

Each resource yields Arrow tables and merges them by key. Child tables (`entitlement_dimensions`,
`private_offer_payments`) come from the resource of their parent, in the same load package.
"""

from __future__ import annotations

from collections.abc import Iterable

import dlt
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .config.settings import AutomatumSettings, InitSettings

# Nothing more is imported here: `dlt init` imports this module before the user has installed our requirements.


# The specification has no fields, so dlt passes on the arguments: it would look for them in other sections, too.
@dlt.source(name="automatum", section="automatum", spec=BaseConfiguration)
def automatum_source(
    client_id: str = dlt.config.value,
    client_secret: TSecretStrValue = dlt.secrets.value,
    base_url: str = dlt.config.value,
    tables: list[str] | None = dlt.config.value,
    since: str | None = dlt.config.value,
    settings: AutomatumSettings | None = None,
) -> Iterable[DltResource]:
    """Customers, entitlements, private offers and analytics reports of an Automatum organization.

    Args:
        client_id: OAuth client id (`app_...`); from `sources.automatum.client_id` or `AUTOMATUM_CLIENT_ID`.
        client_secret: OAuth client secret; from `sources.automatum.client_secret` or `AUTOMATUM_CLIENT_SECRET`.
        base_url: Root URL of the API.
        tables: Tables to read. By default all that the scopes of the token allow. A table named here must be allowed.
        since: First day of the reports, as an ISO date. By default 365 days ago.
        settings: All settings at once. The other arguments take precedence.

    Returns:
        A dlt source with the resources `customers`, `entitlements`, `private_offers` and one for each analytics report
        (`analytics_revenue`).

    Raises:
        ConfigurationError: A setting is missing or wrong. The message names the key.
    """
    from .config.source_section import errors_name, resolve_source_settings
    from .sync.resources import source_resources

    resolved = resolve_source_settings(
        settings, client_id=client_id, client_secret=client_secret, base_url=base_url, tables=tables, since=since
    )
    with errors_name(resolved.section):
        return source_resources(resolved)


# `dlt init` writes a placeholder for each secret of a source's specification, even for one with a default, and dlt
# warns of each placeholder at every run. So the specification holds only what a user must fill in.
automatum_source.ref.SPEC = InitSettings
