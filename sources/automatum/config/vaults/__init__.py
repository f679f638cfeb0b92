"""Secret stores to read and to write: AWS Secrets Manager, HashiCorp Vault, `secrets.toml`.

May import: the rest of `config`, and `core`.
Start with `base`.
"""
