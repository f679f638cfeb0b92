"""Automatum in Airflow 3: one task for each organization and table, then a push. No task sleeps.

### What it does

`automatum` syncs each table of each organization every hour, in a task of its own. Then it pushes usage, if the option
`usage` is set. If the rate limit stops a task, the task ends at once and is *rescheduled* for the time at which the
limit allows more requests. Until then it holds no worker slot and spends no retry. It then goes on where it stopped,
on any worker.

`automatum_reports` reads one month of the reports again, for `airflow backfill create`.

### What it needs

* The package on the workers (in a checkout: `pip install ".[postgres]"`); this file in the DAGs folder.
* Two pools: `airflow pools set automatum 2 "Automatum"` and `airflow pools set automatum_reports 1 "one at a time"`.
  Without them no task starts.
* Connections `automatum` (login: client id, password: client secret) and, for a warehouse, `automatum_warehouse`.

Options come from the variable `automatum_dag` (JSON with the names of `DEFAULTS`), else from `DEFAULTS`. The form at
*Trigger* offers those that choose what is read. So a person who may only trigger runs cannot name files or SQL, and
cannot bill anybody. `docs/airflow.md` describes the options.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task, task_group

if TYPE_CHECKING:
    from automatum import AutomatumError

TABLES = ("customers", "entitlements", "private_offers", "analytics")
POOL = "automatum"
ONE_AT_A_TIME = "automatum_reports"
"""Pool of one slot. Both DAGs write the reports, and a table must have one writer over all workers (I7)."""
LOCK_WAIT = 5.0
"""Seconds that a task waits for a lock in its worker slot before it is rescheduled."""

DEFAULTS: dict[str, Any] = {
    "tables": None,  # default: all that the scopes of the OAuth application allow
    "destination": None,  # default: that of the connection automatum_warehouse, else duckdb
    "dataset": "automatum",
    "database": None,  # DuckDB file; default: that of automatum_warehouse, else marketplace.duckdb
    "pipelines_dir": None,  # dlt's working folder on the worker; "temporary" for a new one in each task
    "since": None,  # first day of the reports; default: that of the settings
    "until": None,
    "usage": None,  # usage to push: table, view, file or "sql:SELECT ..."; {organization} becomes the name
    "grain": "hour",
    "confirm": False,  # False: a dry run
    "new_ledger": False,  # True in the variable for the very first push only; remove it there afterwards
    "approval": False,  # True: a run pushes only the plan that it is triggered with; all others are dry runs
    "plan": None,  # digest that a dry run printed; from the form or `--conf` of one run, not from here
    # Further options of `PushOptions`; null: its default.
    "source": None,
    "mapping": None,
    "late_ok": None,
    "unchecked": None,
    # Seconds. A task that returns sooner meets a race in Airflow's scheduler, see docs/airflow.md.
    "earliest_return": 30.0,
}
_DAY = {"type": ["null", "string"], "format": "date"}
PARAMS = {
    "tables": Param(
        None, type=["null", "array"], items={"type": "string"}, examples=list(TABLES), description="null: all"
    ),
    "since": Param(None, **_DAY, description="First day of the reports"),
    "until": Param(None, **_DAY, description="Last day of the reports"),
    "plan": Param(None, type=["null", "string"], description="Digest of an approved dry run: push just its lines"),
}
"""What the form at *Trigger* offers, and `--conf` may set."""
PUSH = ("grain", "new_ledger", "plan", "source", "mapping", "late_ok", "unchecked")
"""Options that are those of `automatum.PushOptions`."""
ARGUMENTS = {
    "pool": POOL,
    # The first retry comes after [core] default_task_retry_delay, 5 minutes.
    "retries": 3,
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(hours=1),
    # Name of the mapped tasks in the grid. Each task sets it, because the value of an XCom is not known before.
    "map_index_template": "{{ automatum_organization | default('') }}",
}


def read_options(context: Any) -> dict[str, Any]:
    """The options of this run: parameters take precedence over the variable, and the variable over the defaults.

    An option that only the variable may set fails the run if `--conf` has it: the run would do something else than the
    person expects who started it.
    """
    from airflow.sdk import Variable
    from airflow.sdk.exceptions import AirflowFailException

    variable = Variable.get("automatum_dag", default={}, deserialize_json=True)
    unknown = sorted(set(variable) - set(DEFAULTS))
    if unknown:
        raise AirflowFailException(
            f"Variable automatum_dag: no option {', '.join(unknown)}; there are {list(DEFAULTS)}"
        )
    parameters = {name: value for name, value in context["params"].items() if value is not None}
    refused = sorted(name for name in parameters if name in DEFAULTS and name not in PARAMS)
    if refused:
        raise AirflowFailException(
            f"{', '.join(refused)} cannot be set when a run is triggered. An administrator sets it in the variable "
            "automatum_dag."
        )
    return {**DEFAULTS, **variable, **parameters}


def begin(organization: str | None) -> dict[str, Any]:
    """Name the task after its organization, and return the options of this run."""
    context = get_current_context()
    context["automatum_organization"] = organization or "automatum"  # type: ignore[typeddict-unknown-key]
    return read_options(context)


def day(text: str | None) -> date | None:
    """The day of an option."""
    return None if text is None else date.fromisoformat(text)


def reschedule(resume_at: float | None, why: str, earliest: float) -> None:
    """Give the worker slot back until a later time. The try of the task goes on, and no retry is spent.

    Args:
        resume_at: Epoch seconds at which to go on. None if that is not known, as for a locked DuckDB file.
        why: Reason for the log.
        earliest: Seconds that pass at least.
    """
    import logging

    from airflow.sdk.exceptions import AirflowRescheduleException

    now = datetime.now(timezone.utc)
    then = now + timedelta(seconds=earliest)
    if resume_at is not None:
        then = max(then, datetime.fromtimestamp(resume_at, timezone.utc))
    logging.getLogger("automatum").info("%s Coming back at %s.", why, then.isoformat(timespec="seconds"))
    raise AirflowRescheduleException(then)


def conclude(exit_code: int, resume_at: float | None, line: str, earliest: float) -> None:
    """Turn an exit code into what Airflow does: success, reschedule, retry, or fail without a retry."""
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    if exit_code == 75:
        reschedule(resume_at, line, earliest)
    if exit_code in (77, 78):
        raise AirflowFailException(line)
    if exit_code:
        raise AirflowException(line)


def conclude_error(error: AutomatumError, earliest: float) -> None:
    """Turn an error of the connector into what Airflow does; see `conclude`."""
    from airflow.sdk.exceptions import AirflowFailException

    from automatum import MoreToDo

    if error.exit_code == 65:
        # Data is too old, or an approved plan has changed. A retry would change nothing.
        raise AirflowFailException(str(error))
    resume_at = error.resume_at if isinstance(error, MoreToDo) else None
    conclude(error.exit_code, resume_at, str(error), earliest)


def target_of(options: dict[str, Any], warehouse: Any) -> Any:
    """The target of a task: what the options say, else what the connection `automatum_warehouse` says."""
    from automatum import Target

    return Target(
        options["destination"] or warehouse.destination or "duckdb",
        options["dataset"],
        Path(options["database"] or warehouse.database or "marketplace.duckdb"),
    )


def sync_table(
    organization: str | None, table: str, since: str | None = None, until: str | None = None
) -> dict[str, Any]:
    """Sync one table of one organization, as far as the rate limit allows now.

    Args:
        organization: Name of a configured organization. None for the only one.
        table: One of `TABLES`.
        since: First day, for reports. None for that of the options or the settings.
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
        airflow_settings,
        not_overdue,
        resolve_settings,
        run_sync,
    )

    options = begin(organization)
    with ExitStack() as stack:
        try:
            warehouse = stack.enter_context(airflow_settings(organization))
            tables = options["tables"] or resolve_settings(organization=organization).tables
            # A report can be named by itself: analytics_revenue belongs to the task of analytics.
            names = [name for name in tables or [table] if name == table or name.startswith(f"{table}_")]
            if not names:
                raise AirflowSkipException(f"{table} is not among the tables: {', '.join(tables)}")
            folder = options["pipelines_dir"]
            if folder == "temporary":
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="automatum-"))
            sync_options = SyncOptions(
                tables=tuple(names),
                organizations=(organization,) if organization else (),
                target=target_of(options, warehouse),
                pipelines_dir=folder,
                pipeline_name="_".join(filter(None, ("automatum", organization, table))),
                since=day(since or options["since"]) if table == "analytics" else None,
                until=day(until or options["until"]) if table == "analytics" else None,
                max_wait=NO_WAIT,
                lock_wait=LOCK_WAIT,
            )
            # Once data is older than the setting `max_age`, the task fails in place of coming back.
            with not_overdue(sync_options) as check_age:
                summary = run_sync(sync_options, settings=resolve_settings(organization=organization))
                check_age(summary.exit_code)
        except AutomatumError as error:
            conclude_error(error, options["earliest_return"])
            raise
    if not tables and any(isinstance(error, ScopeMissing) for error in summary.errors):
        raise AirflowSkipException(f"{table}: {summary.errors[0]}")
    conclude(summary.exit_code, summary.resume_at, summary.line(), options["earliest_return"])
    return {"organization": organization, **summary.to_json()}


def push_usage(organization: str | None) -> dict[str, Any]:
    """Push the usage of one organization; a dry run unless the option `confirm` is set."""
    from dataclasses import replace

    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from automatum import (
        NO_WAIT,
        AutomatumError,
        ConfigurationError,
        PushOptions,
        airflow_settings,
        resolve_settings,
        run_push,
    )

    options, context = begin(organization), get_current_context()
    if not options["usage"]:
        raise AirflowSkipException("No usage to push: set `usage`.")
    confirm = options["confirm"] and bool(options["plan"] or not options["approval"])
    try:
        with airflow_settings(organization) as warehouse:
            settings = resolve_settings(organization=organization, with_credentials=confirm)
            # A ledger in a worker's home is lost with the worker, and its lines would be billed again.
            if confirm and not settings.ledger_url:
                raise AirflowFailException(
                    "No ledger: every worker needs the same ledger, so that no usage is billed twice. Set "
                    "ledger_url in extra of the connection automatum, or in the variable dlt_secrets_toml."
                )
            push_options = PushOptions(
                **{name: options[name] for name in PUSH if options[name] is not None},
                organization=organization,
                confirm=confirm,
                target=target_of(options, warehouse),
                max_wait=NO_WAIT,
                lock_wait=LOCK_WAIT,
            )
            usage = options["usage"].replace("{organization}", organization or "")
            try:
                result = run_push(usage, push_options)
            except ConfigurationError as error:
                # A task that was rescheduled or retried goes on with the ledger that it has begun.
                again = context["ti"].try_number > 1 or context["task_reschedule_count"]
                if error.key != "--new-ledger" or not again:
                    raise
                result = run_push(usage, replace(push_options, new_ledger=False))
    except AutomatumError as error:
        conclude_error(error, options["earliest_return"])
        raise
    figures = result.to_json()
    charged = {currency: str(amount) for currency, amount in figures["charged"].items()}
    found = {name: figures[name] for name in ("verdict", "lines", "plan", "unresolved")}
    found = {"organization": organization, **found, "charged": charged}
    # Before the task may fail: a dry run can be approved whatever else waits for a person.
    context["ti"].xcom_push(key="push", value=found)
    line = f"{result.line()}; plan {figures['plan']}"
    if result.exit_code == 65:
        # Something waits for a person. A retry would change nothing.
        raise AirflowFailException(line)
    conclude(result.exit_code, result.resume_at, line, options["earliest_return"])
    return found


def list_organizations() -> list[str | None]:
    """Names of the configured organizations. One None if there is one organization without a name."""
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
        """The organizations at run time. A backfill is skipped, because lists have no past states."""
        from airflow.sdk.exceptions import AirflowSkipException

        if get_current_context()["dag_run"].run_type == "backfill":
            raise AirflowSkipException(
                "Lists can only be read in their present state. Backfill automatum_reports instead."
            )
        return list_organizations()

    @task_group
    def each(organization: str | None) -> None:
        """The tasks of one organization. A failure does not stop other organizations."""

        @task
        def customers(organization: str | None) -> dict[str, Any]:
            return sync_table(organization, "customers")

        @task
        def entitlements(organization: str | None) -> dict[str, Any]:
            return sync_table(organization, "entitlements")

        @task
        def private_offers(organization: str | None) -> dict[str, Any]:
            return sync_table(organization, "private_offers")

        @task(pool=ONE_AT_A_TIME)
        def analytics(organization: str | None) -> dict[str, Any]:
            return sync_table(organization, "analytics")

        # The push checks usage against these two tables, so both must be synced, or skipped on purpose.
        @task(trigger_rule="none_failed")
        def push(organization: str | None) -> dict[str, Any]:
            return push_usage(organization)

        [customers(organization), entitlements(organization)] >> push(organization)
        private_offers(organization)
        analytics(organization)

    each.expand(organization=organizations())


@dag(
    dag_id="automatum_reports",
    # Calendar months, because a month costs one request, like a day.
    schedule=CronDataIntervalTimetable("@monthly", timezone="UTC"),
    start_date=datetime(2020, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args=ARGUMENTS,
    tags=["automatum", "dlt"],
    doc_md=__doc__,
)
def automatum_reports() -> None:
    """Read the reports of the data interval again. Only the rows of its days are replaced."""

    @task(pool="default_pool")
    def organizations() -> list[str | None]:
        return list_organizations()

    @task(pool=ONE_AT_A_TIME)
    def analytics(organization: str | None) -> dict[str, Any]:
        context = get_current_context()
        first, end = context["data_interval_start"], context["data_interval_end"]
        # The end of the interval is exclusive.
        return sync_table(organization, "analytics", f"{first:%Y-%m-%d}", f"{end - timedelta(days=1):%Y-%m-%d}")

    analytics.expand(organization=organizations())


automatum_dag = automatum()
automatum_reports_dag = automatum_reports()
