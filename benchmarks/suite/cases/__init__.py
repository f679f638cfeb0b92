"""The programs that are measured beside the connector: each is called `python -m suite.cases.NAME URL TABLE DATABASE`.

Each loads one list into a DuckDB file by key, so that a second run updates the rows of the first.
"""
