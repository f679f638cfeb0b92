"""The command line: arguments, printing, progress, exit codes; nothing else.

May import: everything below; at the top of a module `core` alone. A command imports what it works with where it works,
so that `--help`, wrong arguments and the other commands need not wait for it (dlt alone takes half a second).
Start with `main`.
"""
