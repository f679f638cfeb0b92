"""What the sandbox does, and whether the vendor documents it or we assume it."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Literal

Basis = Literal["documented", "assumed"]


@dataclass(frozen=True)
class Behaviour:
    """A behaviour of the sandbox.

    Attributes:
        what: What it does.
        basis: `documented` by the vendor, or `assumed` by us.
        source: Page of the vendor's documentation, or the reason for the assumption.
    """

    what: str
    basis: Basis
    source: str


def _documented(page: str, *what: str) -> tuple[Behaviour, ...]:
    return tuple(Behaviour(text, "documented", page) for text in what)


def _assumed(reason: str, *what: str) -> tuple[Behaviour, ...]:
    return tuple(Behaviour(text, "assumed", reason) for text in what)


BEHAVIOUR: tuple[Behaviour, ...] = (
    *_documented(
        "api/authentication",
        "POST /oauth/token: form-encoded credentials; returns access_token, token_type, expires_in, scope, no envelope",
        "Tokens live 3,600 s; then 401 'Token expired'",
        "Wrong, deleted or regenerated credentials: 401 'Invalid client credentials'",
        "Missing scope: 403 'Insufficient scope for this endpoint'; changed scopes need a new token",
        "Limits: 50 a minute and 1,000 an hour for an application, 500 and 10,000 for an organization",
        "429 body: code, message 'Rate limit exceeded', retryAfter; header Retry-After is read by the vendor's sample",
        "Headers X-RateLimit-Limit, -Remaining, -Reset (epoch seconds) and X-RateLimit-Organization-Limit, -Remaining",
        "/oauth/applications: list, detail, PUT, regenerate-secret, DELETE, and what they do to secrets and tokens",
        "Scopes and the paths they open, among them POST /api/v1/metering and GET /api/v1/analytics/*",
    ),
    *_documented(
        "api/reference",
        "Envelope: code, data, and pagination (page, limit, total, pages) beside it; errors: code, message, errors[]",
        "page (default 1) and limit (default 20, at most 100)",
        "GET /api/v1/customers with status, vendor, search; fields of the flat customer; :id adds entitlements[]",
        "Ids with prefix and 8 characters: cust_, org_",
    ),
    *_documented(
        "guide/api-integration",
        "Nested customer (cloudIdentifier, details.company.name): shown in a webhook sample",
        "Body of POST /api/v1/metering: vendor, listingId, details.customer.id, reportingDate, charged, usages[]",
    ),
    *_documented("guide/notifications", "Event names metering.submitted, metering.confirmed, metering.failed"),
    *_assumed(
        "no page documents it; the usual response to an unknown JWT",
        "Missing, unknown or malformed token: 401 'Invalid token'",
        "Revoked token (secret regenerated, application deleted): 401 'Invalid token' (option revoked_message)",
    ),
    *_assumed(
        "only 400, 401, 403 and 429 bodies are shown; the other bodies follow their form",
        "Wrong grant or content type: 400 with errors[]",
        "Unknown path or row: 404 with code and message; wrong method: 405",
        "limit over 100, or a page or limit below 1 or not a number: 400 with errors[] naming the field",
        "Past the last page: empty data with the true total",
        "Unknown query parameters are ignored",
    ),
    *_assumed(
        "no page documents it",
        "Windows start at multiples of their length since the epoch (option window_kind: sliding)",
        "X-RateLimit-* describe the hourly bucket (the sample's numbers are the hourly ones)",
        "Token calls count (option), responses 401 do not, 429 do not (option)",
        "Order of lists (option order); no updated-since filter; a deleted row disappears from the list and its URL",
    ),
    *_assumed(
        "house style of the customers page, and what comparable platforms do",
        "Lists /entitlements and /private-offers with the same paging, filters status, vendor, customerId, and :id",
        "All fields of entitlements and private offers; ids ent_, offer_, list_",
        "Customers of Azure carry azureTenantId",
        "Some customers come in the nested form from the API too (option traps)",
        "Unknown status and vendor values, extra fields, missing and null fields, offsets and fractions in timestamps "
        "(option traps)",
        "Money as a number; as a number or a text with the option traps",
    ),
    *_assumed(
        "comparable platforms",
        "GET /api/v1/analytics/revenue with startDate and endDate, inclusive; default the last 30 days",
        "A bare array (option analytics_shape: object with series)",
        "One record a day, vendor, listing, customer and currency; with the option traps one a day and vendor",
    ),
    *_assumed(
        "documented pipeline 'validates, queues'; details not shown",
        "Metering checks vendor, listing, customer, active entitlement with the dimension, date, units, price, charged",
        "At most 25 usages a body (documented is: 25 records a batch towards AWS)",
        "Accepted: 202 (option) with id meter_..., status queued; sending the same body again is accepted again",
        "Events in an envelope id, event, timestamp, organizationId, data; outcome at once (option)",
    ),
    *_assumed(
        "no page documents credential and bodies",
        "/oauth/applications takes any valid token of the organization; ids are client ids; bodies in the envelope",
    ),
    *_assumed("bodies not shown, not imitated", "POST and PUT of customers and private offers: 405"),
)
"""Each behaviour with its basis."""


def front_page() -> str:
    """The list as an HTML page."""
    rows = "".join(
        f"<tr><td>{entry.basis}</td><td>{escape(entry.what)}</td><td>{escape(entry.source)}</td></tr>"
        for entry in BEHAVIOUR
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8><title>Automatum sandbox</title></head><body>"
        "<h1>Automatum sandbox</h1>"
        "<p>This is <b>not</b> the vendor's API, and its data is made up. It imitates what the vendor's public pages "
        "document, and assumes the rest. The vendor's API may differ from what is assumed.</p>"
        "<p>Control plane: <code>/_sandbox</code></p>"
        "<table border=1><tr><th>Basis</th><th>Behaviour</th><th>Source or reason</th></tr>"
        f"{rows}</table></body></html>"
    )
