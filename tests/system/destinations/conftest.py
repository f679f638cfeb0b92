"""With `--write-table` the tests write their results to the docs; `DESTINATIONS=all` runs every destination."""


def pytest_addoption(parser):
    parser.addoption("--write-table", action="store_true", help="fill the table of docs/destinations.md")
