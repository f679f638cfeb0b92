"""Where credentials are kept, to read and to write: AWS Secrets Manager, HashiCorp Vault, `secrets.toml`.

    [sources.automatum]
    secrets_from = "aws-secretsmanager://eu-central-1/automatum"      # extra `aws`
    secrets_from = "vault://vault.example.com/secret/automatum"       # extra `vault`

One secret holds `client_id` and `client_secret` (and, if they hold passwords, `quota_url` and `ledger_url`). The
credentials of an organization are in a secret of their own, one level below: `automatum/acme`.

`provider` brings them into dlt's configuration, after the environment and `secrets.toml`.
"""
