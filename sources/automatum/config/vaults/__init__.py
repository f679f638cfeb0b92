"""Servers that credentials are read from and written to: AWS Secrets Manager, HashiCorp Vault.

May import: the rest of `config`, and `core`.
Start with `store`.
"""
