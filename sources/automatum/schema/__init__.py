"""API records to Arrow tables: values to column types, rows to tables, rows that are gone to tombstones.

May import: `core`, `endpoints`.
Start with `arrow_tables`.
"""
