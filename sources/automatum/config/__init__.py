"""Settings and organizations, and the sources of secrets: environment, TOML files, vaults, Airflow connections.

May import: `schema`, `endpoints`, `core`.
Start with `settings`.
"""
