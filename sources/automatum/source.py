"""The dlt source, with one resource for each list and each report.

    pipeline = dlt.pipeline("automatum", destination="duckdb", dataset_name="marketplace")
    pipeline.run(automatum_source())
    pipeline.run(automatum_source().with_resources("customers"))
    tables = list(automatum_source().customers)     # pyarrow tables, without a pipeline

Each resource yields Arrow tables and merges them by key. Child tables (`entitlement_dimensions`,
`private_offer_payments`) come from the resource of their parent, in the same load package.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

import dlt
import pyarrow as pa
from dlt.common.typing import TSecretStrValue
from dlt.extract import DltResource

from .api.session import ApiSession, connect
from .config.base_url import DEFAULT_BASE_URL
from .config.settings import AutomatumSettings, InitSettings
from .core.errors import ScopeMissing
from .endpoints import Endpoint
from .sync.resources import declare_resource
from .sync.results import Chunk, Verdict
from .sync.selection import Selection, select_rows
from .sync.table_sync import TableSync
from .warehouse.dataset import check_organization_kind
from .warehouse.dlt_internals import current_load_id, loading_pipeline

logger = logging.getLogger("automatum")


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
    session = connect(settings)
    named = tuple(settings.tables or ())
    chosen = session.select(named)
    selection = select_rows(settings)

    def extract(run: TableSync) -> Iterator[tuple[str, pa.Table]]:
        # There is no summary: a missing scope and an incomplete result are warnings, an error is raised.
        if named:
            session.require_scopes(chosen)
        missing = session.missing_scopes((run.endpoint,))
        if missing:
            logger.warning("%s is skipped: %s", run.endpoint.table, ScopeMissing(missing, frozenset()).message)
            return
        pipeline = loading_pipeline()
        if pipeline:
            check_organization_kind(pipeline, bool(settings.organization))
        yield from run.extract(pipeline, Chunk(), current_load_id())
        result = run.result
        if result.error:
            raise result.error
        if result.verdict != Verdict.COMPLETE and not result.skipped:
            logger.warning("%s is %s: %s", run.endpoint.table, result.verdict, result.reason or result.stopped)

    return [_fresh_resource(endpoint, session, selection, extract) for endpoint in chosen]


# `dlt init` writes a placeholder for each secret of a source's specification, even for one with a default, and dlt
# warns of each placeholder at every run. So the specification holds only what a user must fill in.
automatum_source.ref.SPEC = InitSettings


def _fresh_resource(
    endpoint: Endpoint,
    session: ApiSession,
    selection: Selection,
    extract: Callable[[TableSync], Iterator[tuple[str, pa.Table]]],
) -> DltResource:
    """A resource that starts a new sync of its table each time it is iterated."""
    return declare_resource(
        endpoint,
        session.settings,
        lambda incremental: extract(TableSync(endpoint, session, selection.with_incremental(incremental))),
    )
