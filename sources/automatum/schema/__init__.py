"""API records to Arrow tables: keys and hashes of records, values to column types, rows and lists to tables.

May import: `core`, `endpoints`.
Start with `arrow_tables`.
"""
