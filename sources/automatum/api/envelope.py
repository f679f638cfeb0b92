"""Finds out whether the body of a 2xx answer to a GET says that the request failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_YES = frozenset({"ok", "okay", "success", "successful", "succeeded"})
"""Words of `code` that mean success. The setting `success_codes` adds others."""
_NO = frozenset({"error", "fail", "failed", "failure"})
"""Words of `status` that mean a failure, as in JSend."""
_FLAGS = ("success", "ok")
_ENVELOPE = frozenset({"data", "message", "error", "errors"})
_OF_RECORDS = frozenset({"id", "_id"})
"""Fields of a record. A record that is the whole body may have a `code` and a `status` of its own."""


def unknown_word(body: Mapping[str, Any], success_codes: Sequence[object]) -> str | None:
    """The word in `code` that is not known to mean success; None if there is none.

    Args:
        body: Body of a 2xx answer.
        success_codes: Further values of `code` that mean success.
    """
    code = body.get("code")
    if not isinstance(code, str) or not code.strip() or not _is_envelope(body) or _is_number(code):
        return None
    known = _YES | {str(each).lower() for each in success_codes}
    return None if code.strip().lower() in known else code.strip()


def failure_in(body: Mapping[str, Any]) -> str | None:
    """What in the body says that the request failed, such as `"success": false`; None if nothing does.

    Args:
        body: Body of a 2xx answer.
    """
    if not _is_envelope(body):
        return None
    for name in _FLAGS:
        if body.get(name) is False or str(body.get(name)).lower() == "false":
            return f'"{name}": false'
    status = body.get("status")
    if isinstance(status, str) and status.lower() in _NO:
        return f'"status": "{status.lower()}"'
    if body.get("errors") and not body.get("data"):
        return '"errors" and no data'
    return None


def _is_envelope(body: Mapping[str, Any]) -> bool:
    return not _OF_RECORDS & body.keys() and bool(_ENVELOPE & body.keys())


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
