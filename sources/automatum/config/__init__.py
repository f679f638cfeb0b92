"""Settings, organizations, and where secrets are kept: the environment, TOML, vaults, Airflow connections.

May import: `schema`, `endpoints`, `core`.
Start with `settings`.
"""
