"""What an Airflow connection says, without Airflow. `tests/system/airflow` reads the same from a real one."""

from types import SimpleNamespace

import pytest

from automatum.config.airflow import root_of


@pytest.mark.parametrize(
    ("host", "port", "schema", "root"),
    [
        ("api.example.com", None, None, "https://api.example.com"),
        ("http://127.0.0.1", 8700, None, "http://127.0.0.1:8700"),
        ("api.example.com/", 8443, "https", "https://api.example.com:8443"),
        ("proxy.example.com/automatum/", 8443, "https", "https://proxy.example.com:8443/automatum"),
        ("https://proxy.example.com/automatum", None, None, "https://proxy.example.com/automatum"),
        ("proxy.example.com", 8443, "automatum", "https://proxy.example.com:8443/automatum"),
    ],
)
def test_the_root_of_the_api_may_be_the_path_of_a_gateway(host, port, schema, root):
    connection = SimpleNamespace(host=host, port=port, schema=schema)
    assert root_of(connection) == root
