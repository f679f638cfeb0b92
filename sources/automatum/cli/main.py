"""The command line: arguments in, a table or one JSON object out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from ..core.clock import SystemClock
from ..core.defaults import LOCK_WAIT
from ..core.errors import ConfigurationError
from ..core.extras import install_command, is_installed
from . import render
from .apps import apps_app
from .commands import EXIT_CODES, CommandApp, Commands, examples, lines
from .console import say_line, show_warning
from .declared import END, PLACE, REPORT, SYNC, WAITS, runs, sync_options
from .models import Into, models_app
from .options import (
    connect,
    open_existing,
    prepare_for_rows,
    read_existing,
    settings_of,
    stop_on_signals,
    target_of,
    write_existing,
)
from .push import push_app
from .reporter import Reporter

Tables = Annotated[
    list[str] | None,
    typer.Argument(metavar="TABLE", help="customers, entitlements, private_offers, analytics. Default: all allowed."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Forecast; one request per table.")]
Verify = Annotated[bool, typer.Option("--verify", help="Check the data, too: keys, counts, children, history.")]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limit", metavar="LIMIT", help="Such as 20/minute, 500/hour or none. Default: the vendor's."),
]
Usage = Annotated[Path | None, typer.Option(help="CSV file to write: usage of the last hour, for `automatum push`.")]
Customer = Annotated[str, typer.Argument(metavar="CUSTOMER_ID", help="The column id of customers.")]
Confirm = Annotated[bool, typer.Option("--confirm", help="Do it. Without: show what would be changed.")]
Out = Annotated[Path, typer.Option("--out", metavar="FILE", help="The page.")]

app = CommandApp(
    name="automatum",
    cls=Commands,
    help="Sync Automatum's customers, entitlements, private offers and analytics to DuckDB or a warehouse, and push "
    "usage to the marketplaces.",
    epilog=lines(
        "First: automatum demo. With credentials: automatum check, automatum sync.",
        "All commands: --debug logs each request; --json prints one JSON object, except",
        "sandbox. sync, check, status: --log-json makes the log JSON lines.",
        *EXIT_CODES,
    ),
    no_args_is_help=True,
    add_completion=False,
)


@app.command(
    epilog=examples(
        "automatum sync customers entitlements",
        "automatum sync --dry-run",
        "automatum sync analytics --since 2026-01-01 --until 2026-03-31",
    ),
)
@runs(*SYNC, *PLACE, *WAITS, *REPORT, "as_json", "log_json", "debug")
def sync(reporter: Reporter, tables: Tables = None, dry_run: DryRun = False, **given: Any) -> int:
    """Bring the destination up to date."""
    from ..sync.run import run_sync
    from .progress import Progress

    options = sync_options({**given, "tables": tables})
    prepare_for_rows(options.target)
    if dry_run:
        from ..api.session import connect
        from ..config.settings import resolve_settings
        from ..operations.plan import plan

        if len(options.organizations) > 1:
            raise ConfigurationError("--dry-run", "forecasts one organization.", "Name one --organization.")
        settings, stop = resolve_settings(organization="".join(options.organizations) or None), stop_on_signals()
        session = connect(settings, stop=stop, max_wait=options.max_wait)
        pipeline = None if options.target.missing else open_existing(options.target, options.lock_wait, stop)
        found = plan(session, pipeline, options)
        return reporter.show(found.to_json(), render.show_plan, found.exit_code)
    from ..operations.status import not_overdue

    with not_overdue(options) as check_age:
        with Progress(reporter.quiet) as progress:
            summary = run_sync(options, stop=stop_on_signals(), on_page=progress.on_page)
        check_age(summary.exit_code)
    figures = {**summary.to_json(), "target": render.describe_target(options.target)}
    return reporter.finished(summary, figures, render.show_sync)


@app.command(epilog=examples("automatum check"))
@runs(*END, "log_json")
def check(reporter: Reporter, **given: Any) -> int:
    """Check credentials, scopes and limits; at most one request per table.

    A check that has to wait more than 90 seconds for the rate limit exits 75.
    """
    from ..config.toml_files import readable_secrets
    from ..operations.check import check as check_connection

    for file in readable_secrets():  # First: whatever the settings and the API say.
        show_warning(f"Other users of this machine can read the secrets in {file}. Run: chmod 600 {file}")
    found = check_connection(connect(given))
    return reporter.show(found.to_json(), render.show_check, found.exit_code, found.errors)


@app.command(epilog=examples("automatum status --max-age 26h", "automatum status --verify --json"))
@runs(*PLACE, "max_age", *REPORT, "as_json", "log_json", "debug")
def status(reporter: Reporter, verify: Verify = False, **given: Any) -> int:
    """Show the last sweep of each table, and what is open in the ledger of the push; sends no request."""
    from ..operations.status import read_status

    with read_existing(target_of(given)) as (pipeline, copy):
        found = read_status(pipeline, SystemClock(), max_age=given["max_age"], verify=verify, copy=copy)
    return reporter.finished(found, found.to_json(), render.show_status)


@app.command(epilog=examples("automatum discover"))
@runs("as_json", "debug")
def discover(reporter: Reporter, **given: Any) -> int:
    """List and describe tables and columns, and whether they are documented or assumed; sends no request."""
    from ..api.overrides import resolve_endpoints
    from ..operations.discover import describe

    settings = settings_of(given)
    described = describe(resolve_endpoints(settings, bool(settings.organizations)), settings.history)
    return reporter.show(described, render.show_discovery)


app.add_typer(push_app, name="push")
app.add_typer(apps_app, name="apps")
app.add_typer(models_app, name="models")


@app.command(epilog=examples("automatum report --out report.html"))
@runs(*PLACE, "as_json", "debug")
def report(reporter: Reporter, out: Out = Path("report.html"), into: Into = None, **given: Any) -> int:
    """Write one HTML page of answers from the views of `models create`: no script, nothing from the network."""
    from ..core.private_files import replace_own, writing
    from ..operations.report import read_report

    if not out.parent.is_dir():
        raise ConfigurationError("--out", f"{out.parent} is not a folder.", "Create it, or name another file.")
    with read_existing(target_of(given)) as (pipeline, _):
        found = read_report(pipeline, into, SystemClock().time())
    page = found.to_html().encode()
    with writing("--out", f"{out} cannot be written", "Name another file."):
        replace_own(out, page)
    figures = {"file": str(out.resolve()), "bytes": len(page), **found.to_json()}
    return reporter.show(figures, lambda _: say_line(f"Wrote {out}, {len(page) // 1024} kB."), found.exit_code)


@app.command(epilog=examples("automatum forget cust_1a2b3c4d", "automatum forget cust_1a2b3c4d --confirm"))
@runs(*PLACE, "as_json", "debug")
def forget(reporter: Reporter, customer_id: Customer, confirm: Confirm = False, **given: Any) -> int:
    """Remove the personal data of a customer from the tables, and keep it out of later syncs. Sends no request."""
    from ..operations.forget import forget_customer

    settings, target = settings_of(given), target_of(given)
    if not confirm or target.missing:  # A file that does not exist is refused.
        with read_existing(target) as (pipeline, _):
            figures = forget_customer(pipeline, settings, customer_id).show()
    else:
        with write_existing(target, "automatum forget") as (pipeline, keep_open):
            found = forget_customer(pipeline, settings, customer_id)
            with found.lock(keep_open, SystemClock(), LOCK_WAIT):
                figures = found.confirm()
    return reporter.show(figures, render.show_forgotten)


@app.command(epilog=examples("automatum sandbox --port 0 --customers 5000", "automatum sandbox --limit none"))
@runs("debug")
def sandbox(
    reporter: Reporter,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for a free one.")] = 8321,
    customers: Annotated[int, typer.Option(min=0, help="Customers; the other tables have rows in proportion.")] = 250,
    limit: Limits = None,
    usage_sample: Usage = None,
    **given: Any,
) -> int:
    """Serve the sandbox, a local server that behaves like the API, until Ctrl-C. Needs the extra `sandbox`."""
    stop = stop_on_signals(announce=False)
    module = _demo_module()
    with module.serve_sandbox(port, limit or (), customers) as served:
        if usage_sample:
            from automatum_sandbox import write_usage

            try:
                write_usage(served.sandbox, usage_sample)
            except OSError as error:
                problem = f"{usage_sample}: {error.strerror}."
                raise ConfigurationError("--usage-sample", problem, "Name a new file.") from None
        render.show_sandbox(served)
        stop.wait()
    return 0


@app.command(epilog=examples("automatum demo"))
@runs("as_json", "debug")
def demo(
    reporter: Reporter,
    database: Annotated[Path, typer.Option(help="DuckDB file to write. An existing file is replaced.")] = Path(
        "automatum_demo.duckdb"
    ),
    **given: Any,
) -> int:
    """Sync the sandbox, change it, sync again, and ask four questions. Needs the extra `sandbox`."""
    found = _demo_module().run_demo(database)
    return reporter.show(found.to_json(), render.show_demo, found.exit_code)


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


def _demo_module() -> Any:
    if not is_installed("automatum_sandbox"):
        raise ConfigurationError(
            "sandbox", "`dlt init` copies the source alone.", "Run this command in a checkout of the repository."
        )
    if missing := [name for name in ("duckdb", "starlette", "uvicorn") if not is_installed(name)]:
        raise ConfigurationError("sandbox", f"needs {', '.join(missing)}.", install_command(*missing))
    from ..operations import demo

    return demo
