"""API records to Arrow tables: values to column types, rows to tables, deleted rows to tombstones.

May import: `core`, `endpoints`.
Start with `arrow_tables`.
"""
