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
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .config.base_url import DEFAULT_BASE_URL
from .config.settings import AutomatumSettings, InitSettings

# Nothing more is imported here: `dlt init` imports this module before the user has installed our requirements.


@dlt.source(name="automatum", section="automatum", spec=AutomatumSettings)
def automatum_source(
    client_id: str = dlt.config.value,
    client_secret: TSecretStrValue = dlt.secrets.value,
    base_url: str = DEFAULT_BASE_URL,
    tables: list[str] | None = None,
    since: str | None = None,
    settings: AutomatumSettings = None,  # type: ignore[assignment]
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
    from .sync.resources import source_resources

    return source_resources(settings)


# `dlt init` writes a placeholder for each secret of a source's specification, even for one with a default, and dlt
# warns of each placeholder at every run. So the specification holds only what a user must fill in.
automatum_source.ref.SPEC = InitSettings
