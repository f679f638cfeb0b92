"""What is done beside syncing and pushing: check, plan, status, verify, discover, load packages, OAuth
applications, OpenAPI, the demo.

May import: `sync` and below.
Each module is one operation; start with `check`.
"""
