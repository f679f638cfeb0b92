"""Automatum in Airflow 3: a task for each organization and table, a push after them, and nothing that sleeps.

### What it does

`automatum` syncs, every hour, each table of each organization in a task of its own, and then pushes usage, if it was
told where usage is. A task that the quota stops ends at once and is *rescheduled* for the moment at which the quota
has room: it holds no worker slot meanwhile, eats no retry, and goes on where it stopped, on whatever worker.

`automatum_reports` reads one month of the reports again, for `airflow backfill create`.

### What it needs

* `pip install dlt-source-automatum` on the workers; this file in the DAGs folder.
* Two pools: `airflow pools set automatum 2 "Automatum"` and `airflow pools set automatum_reports 1 "one at a time"`.
  Without them no task starts.
* Connections `automatum` (login: client id, password: client secret) and, for a warehouse, `automatum_warehouse`.

Options come from the form at *Trigger*, or else from the variable `automatum_dag` (JSON, same names), or else from
`DEFAULTS`. All of it is described in `docs/airflow.md`.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task, task_group

TABLES = ("customers", "entitlements", "private_offers", "analytics")
POOL = "automatum"
ONE_AT_A_TIME = "automatum_reports"
"""Pool of one slot: both DAGs write the reports, and a table has one writer, on whatever worker (I7)."""
LOCK_WAIT = 5.0
"""Seconds to wait for a lock in a worker slot; what takes longer is rescheduled."""

DEFAULTS: dict[str, Any] = {
    "tables": None,  # all that the application's scopes allow
    "destination": None,  # what the connection automatum_warehouse says, or else duckdb
    "dataset": "automatum",
    "database": None,  # DuckDB file; what the connection automatum_warehouse says, or else marketplace.duckdb
    "pipelines_dir": None,  # dlt's working folder on the worker; "temporary" for a new one each time
    "since": None,  # first day of the reports; what the settings say
    "until": None,
    "usage": None,  # what to push: table, view, file, or "sql:SELECT ..."; {organization} is filled in
    "grain": "hour",
    "confirm": False,  # false: a dry run, which says what would be pushed
    # A task that comes back sooner than this meets a race in Airflow's scheduler, see docs/airflow.md.
    "earliest_return": 30.0,
}
_DAY = {"type": ["null", "string"], "format": "date"}
PARAMS = {
    "tables": Param(
        None, type=["null", "array"], items={"type": "string"}, examples=list(TABLES), description="null: all"
    ),
    "since": Param(None, **_DAY, description="First day of the reports"),
    "until": Param(None, **_DAY, description="Last day of the reports"),
    "destination": Param(None, type=["null", "string"], description="A dlt destination"),
    "dataset": Param(None, type=["null", "string"]),
    "database": Param(None, type=["null", "string"], description="DuckDB file"),
    "usage": Param(None, type=["null", "string"], description="Usage to push: table, view, file or sql:SELECT ..."),
    "grain": Param(None, enum=[None, "hour", "day"]),
    "confirm": Param(None, type=["null", "boolean"], description="Really push"),
}
ARGUMENTS = {
    "pool": POOL,
    # The first retry comes after [core] default_task_retry_delay, 5 minutes.
    "retries": 3,
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    # What the mapped tasks are called in the grid; set in each task, as an XCom's value is not known before.
    "map_index_template": "{{ automatum_organization | default('') }}",
}


def options(context: Any) -> dict[str, Any]:
    """What this run was told: its parameters over the variable over the defaults."""
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowFailException

    standing = Variable.get("automatum_dag", default={}, deserialize_json=True)
    unknown = sorted(set(standing) - set(DEFAULTS))
    if unknown:
        raise AirflowFailException(
            f"Variable automatum_dag: no option {', '.join(unknown)}; there are {list(DEFAULTS)}"
        )
    given = {name: value for name, value in context["params"].items() if value is not None}
    return {**DEFAULTS, **standing, **given}


def begin(organization: str | None) -> dict[str, Any]:
    """Name the task after its organization; the run's options."""
    context = get_current_context()
    context["automatum_organization"] = organization or "automatum"  # type: ignore[typeddict-unknown-key]
    return options(context)


def day(text: str | None) -> date | None:
    """A day of an option."""
    return None if text is None else date.fromisoformat(text)


def reschedule(resume_at: float | None, why: str, earliest: float) -> None:
    """Give the worker slot back until then; the task's try goes on, no retry is spent.

    Args:
        resume_at: Epoch seconds; None where nobody knows, as with a file that another program holds.
        why: For the log.
        earliest: Seconds from now before which it does not come back.
    """
    import logging

    from airflow.sdk.exceptions import AirflowRescheduleException

    now = datetime.now(timezone.utc)
    then = now + timedelta(seconds=earliest)
    if resume_at is not None:
        then = max(then, datetime.fromtimestamp(resume_at, timezone.utc))
    logging.getLogger("automatum").info("%s Coming back at %s.", why, then.isoformat(timespec="seconds"))
    raise AirflowRescheduleException(then)


def conclude(exit_code: int, resume_at: float | None, said: str, earliest: float) -> None:
    """What an exit code means to Airflow: nothing, reschedule, retry, or no use in trying again."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    if exit_code == 75:
        reschedule(resume_at, said, earliest)
    if exit_code in (77, 78):
        raise AirflowFailException(said)
    if exit_code:
        raise AirflowException(said)


def read(organization: str | None, table: str, since: str | None = None, until: str | None = None) -> dict[str, Any]:
    """One table of one organization: all of it, or as much as the quota allows now.

    Args:
        organization: Name of a configured organization; None where there is but one.
        table: One of `TABLES`.
        since: First day, for reports; None for what the options or the settings say.
        until: Last day, for reports.
    """
    import tempfile
    from contextlib import ExitStack

    from airflow.sdk.exceptions import AirflowSkipException

    from automatum import (
        NO_WAIT,
        AutomatumError,
        ScopeMissing,
        SyncOptions,
        Target,
        airflow_settings,
        resolve_settings,
        run_sync,
    )

    told = begin(organization)
    with ExitStack() as stack:
        try:
            warehouse = stack.enter_context(airflow_settings(organization))
            settings = resolve_settings(organization=organization)
            wanted = told["tables"] or settings.tables
            # A report can be named by itself: analytics_revenue belongs to the task of analytics.
            names = [one for one in wanted or [table] if one == table or one.startswith(f"{table}_")]
            if not names:
                raise AirflowSkipException(f"{table} is not among the tables: {', '.join(wanted)}")
            folder = told["pipelines_dir"]
            if folder == "temporary":
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="automatum-"))
            options = SyncOptions(
                tables=tuple(names),
                target=Target(
                    told["destination"] or warehouse.destination or "duckdb",
                    told["dataset"],
                    Path(told["database"] or warehouse.database or "marketplace.duckdb"),
                ),
                pipelines_dir=folder,
                pipeline_name="_".join(filter(None, ("automatum", organization, table))),
                since=day(since or told["since"]) if table == "analytics" else None,
                until=day(until or told["until"]) if table == "analytics" else None,
                max_wait=NO_WAIT,
                lock_wait=LOCK_WAIT,
            )
            summary = run_sync(options, settings=settings)
        except AutomatumError as error:
            conclude(error.exit_code, getattr(error, "resume_at", None), str(error), told["earliest_return"])
            raise
    if not wanted and any(isinstance(error, ScopeMissing) for error in summary.errors):
        raise AirflowSkipException(f"{table}: {summary.errors[0]}")
    conclude(summary.exit_code, summary.resume_at, summary.line(), told["earliest_return"])
    return {"organization": organization, **summary.as_json()}


def names_of_organizations() -> list[str | None]:
    """Names of the configured organizations; one None where there is one without a name."""
    from airflow.sdk.exceptions import AirflowFailException

    from automatum import AutomatumError, airflow_settings, organization_names

    try:
        with airflow_settings():
            return list(organization_names()) or [None]
    except AutomatumError as error:
        raise AirflowFailException(str(error)) from None


@dag(
    dag_id="automatum",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=24),
    default_args=ARGUMENTS,
    params=PARAMS,
    tags=["automatum", "dlt"],
    doc_md=__doc__,
)
def automatum() -> None:
    """Sync every table of every organization, then push."""

    @task(pool="default_pool")
    def organizations() -> list[str | None]:
        """Which there are, asked at run time; and nothing for a backfill, as lists have no past."""
        from airflow.sdk.exceptions import AirflowSkipException

        if get_current_context()["dag_run"].run_type == "backfill":
            raise AirflowSkipException("Lists can only be read as they are now: backfill automatum_reports instead.")
        return names_of_organizations()

    @task_group
    def each(organization: str | None) -> None:
        """One organization: what fails here stops no other."""

        @task
        def customers(organization: str | None) -> dict[str, Any]:
            return read(organization, "customers")

        @task
        def entitlements(organization: str | None) -> dict[str, Any]:
            return read(organization, "entitlements")

        @task
        def private_offers(organization: str | None) -> dict[str, Any]:
            return read(organization, "private_offers")

        @task(pool=ONE_AT_A_TIME)
        def analytics(organization: str | None) -> dict[str, Any]:
            return read(organization, "analytics")

        # A push checks usage against these two, so they have to be fresh; or left out on purpose, which is a skip.
        @task(trigger_rule="none_failed")
        def push(organization: str | None) -> dict[str, Any]:
            from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

            from automatum import (
                NO_WAIT,
                AutomatumError,
                PushOptions,
                Target,
                airflow_settings,
                resolve_settings,
                run_push,
            )

            told = begin(organization)
            if not told["usage"]:
                raise AirflowSkipException("No usage to push: set `usage`.")
            try:
                with airflow_settings(organization) as warehouse:
                    settings = resolve_settings(organization=organization, with_credentials=told["confirm"])
                    # A ledger in a worker's home is gone with the worker, and what is in it would be billed again.
                    if told["confirm"] and not settings.ledger_url:
                        raise AirflowFailException(
                            "No ledger: what was pushed must be remembered where every worker finds it. Make a "
                            "connection automatum_ledger (Postgres), or set ledger_url."
                        )
                    summary = run_push(
                        told["usage"].replace("{organization}", organization or ""),
                        PushOptions(
                            organization=organization,
                            confirm=told["confirm"],
                            grain=told["grain"],
                            target=Target(
                                told["destination"] or warehouse.destination or "duckdb",
                                told["dataset"],
                                Path(told["database"] or warehouse.database or "marketplace.duckdb"),
                            ),
                            max_wait=NO_WAIT,
                            lock_wait=LOCK_WAIT,
                        ),
                    )
            except AutomatumError as error:
                conclude(error.exit_code, getattr(error, "resume_at", None), str(error), told["earliest_return"])
                raise
            if summary.exit_code == 65:
                # Only a human can settle what is unknown or refused; trying again would change nothing.
                raise AirflowFailException(summary.line())
            conclude(summary.exit_code, summary.resume_at, summary.line(), told["earliest_return"])
            made = summary.as_json()
            return {"organization": organization, "verdict": made["verdict"], "lines": made["lines"]}

        [customers(organization), entitlements(organization)] >> push(organization)
        private_offers(organization)
        analytics(organization)

    each.expand(organization=organizations())


@dag(
    dag_id="automatum_reports",
    # Calendar months, because one request brings a month as well as a day.
    schedule=CronDataIntervalTimetable("@monthly", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=ARGUMENTS,
    params={name: PARAMS[name] for name in ("destination", "dataset", "database")},
    tags=["automatum", "dlt"],
    doc_md=__doc__,
)
def automatum_reports() -> None:
    """Read the reports of the data interval again; the rows of its days are replaced, nothing else is touched."""

    @task(pool="default_pool")
    def organizations() -> list[str | None]:
        return names_of_organizations()

    @task(pool=ONE_AT_A_TIME)
    def analytics(organization: str | None) -> dict[str, Any]:
        context = get_current_context()
        first, end = context["data_interval_start"], context["data_interval_end"]
        # The interval ends at its end; the last day asked for is the day before.
        return read(organization, "analytics", f"{first:%Y-%m-%d}", f"{end - timedelta(days=1):%Y-%m-%d}")

    analytics.expand(organization=organizations())


automatum_dag = automatum()
automatum_reports_dag = automatum_reports()
