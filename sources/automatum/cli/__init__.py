"""The command line: arguments, printing, progress, exit codes; nothing else.

May import: everything below.
Start with `main`.
"""
