"""What is done beside syncing and pushing: check, plan, status, verify, discover, OAuth
applications, OpenAPI, the demo.

May import: `sync` and below.
Each module is one operation; start with `check`.
"""
