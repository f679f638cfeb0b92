"""The API client: HTTP, retries, OAuth, pages, rate limits.

May import: `config`, `schema`, `endpoints`, `core`; never `warehouse`.
Start with `session`.
"""
