"""What talks to the destination: pipeline, SQL, load, merge strategy, files, the DuckDB file.

May import: `config`, `schema`, `endpoints`, `core`; never `api`.
Start with `target`.
"""
