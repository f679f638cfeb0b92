"""The log of a load: what a user reads."""

import logging

from automatum.warehouse.load import quiet_dlt


def test_what_dlt_says_of_a_failed_job_is_not_printed_while_the_loader_may_try_it_again(caplog):
    with quiet_dlt():
        logging.getLogger("dlt").error("Transient exception in job customers.1.parquet")
    logging.getLogger("dlt").error("another step")
    assert caplog.messages == ["another step"]
