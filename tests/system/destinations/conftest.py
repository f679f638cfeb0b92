"""`pytest tests/destinations --write-table` writes what it finds out to the docs; `DESTINATIONS=all` runs all of it."""


def pytest_addoption(parser):
    parser.addoption("--write-table", action="store_true", help="fill the table of docs/destinations.md")
