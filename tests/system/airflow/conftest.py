"""These run in Airflow's own environment, by `make airflow`; without Airflow they are not collected."""

from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("airflow.sdk" if find_spec("airflow") else "airflow") else ["test_*.py"]

if not collect_ignore_glob:
    from tests.support.airflow.installation import Installation

    @pytest.fixture(autouse=True)
    def isolated():
        """In place of the one of the other tests: here all that could be harmed is in processes of its own."""

    @pytest.fixture(scope="session")
    def installation(tmp_path_factory):
        """An Airflow with a database, and nothing of it running yet."""
        with Installation(tmp_path_factory.mktemp("airflow")) as made:
            yield made
