"""The packages that only some uses need, and how to install them.

This package is not on PyPI, so `pip install 'dlt-source-automatum[redis]'` finds nothing. The name of the missing
package works however the connector was installed: from a checkout, from a wheel, or by `dlt init`.
"""

from __future__ import annotations

from importlib.util import find_spec

_REQUIREMENTS = {
    "botocore": "botocore>=1.35",
    "duckdb": "duckdb>=1.4",
    "hvac": "hvac>=2.3",
    "jinja2": "jinja2>=3.1.5",
    "matplotlib": "matplotlib>=3.9",
    "psycopg2": "psycopg2-binary>=2.9.9",
    "redis": "redis>=5.2",
    "starlette": "starlette>=0.47",
    "uvicorn": "uvicorn>=0.34",
}


def is_installed(module: str) -> bool:
    """Whether a package can be imported. It is not imported."""
    return find_spec(module) is not None


def install_command(*modules: str) -> str:
    """The command that installs optional packages, of the names under which Python imports them."""
    return "pip install " + " ".join(f"'{_REQUIREMENTS[module]}'" for module in modules)
