"""What everything else stands on: errors and exit codes, time, redaction, locks, the bounds of a run.

May import: nothing of this package.
Start with `errors`.
"""
