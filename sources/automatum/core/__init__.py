"""Errors and exit codes, time, redaction, file locks, and the limits that a run sets itself.

May import: no other package of the connector.
Start with `errors`.
"""
