"""The log of a load: what a user reads, and what --debug adds."""

import logging

from dlt.load import load as dlt_load

from automatum.warehouse.load import job_errors_at_debug


def log_a_failure():
    """As dlt does it of a job, and in another module."""
    try:
        raise RuntimeError("Out of Memory Error")
    except RuntimeError:
        logging.getLogger("dlt").exception("Transient exception in job customers.1.parquet")
    code = compile("log.warning('Job retried with message Traceback')", dlt_load.__file__, "exec")
    exec(code, {"log": logging.getLogger("dlt")})
    logging.getLogger("dlt").warning("a note of another module")


def test_what_dlt_says_of_a_failed_job_is_for_debug_only(caplog):
    caplog.set_level(logging.DEBUG, logger="automatum")
    with job_errors_at_debug():
        log_a_failure()
    log_a_failure()
    assert [record.name for record in caplog.records] == ["automatum", "automatum", "dlt", "dlt", "dlt", "dlt"]
    assert [record.levelno for record in caplog.records[:2]] == [logging.DEBUG] * 2
    assert caplog.records[0].exc_info
