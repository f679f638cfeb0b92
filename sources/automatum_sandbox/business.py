"""What an organization does besides: a day of changes, and usage to bill."""

from __future__ import annotations

import csv
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .sandbox import Sandbox


def write_usage(sandbox: Sandbox, path: Path) -> int:
    """Write usage of the last closed hour of a sandbox, as a file that a push takes; returns the number of rows.

    Args:
        sandbox: The sandbox, whose active contracts are billed by usage.
        path: The CSV file. An existing one is not replaced.

    Raises:
        OSError: The file exists, or cannot be written.
    """
    # Right after the full hour, the hour before it is still open.
    now = datetime.fromtimestamp(sandbox.calendar(), timezone.utc) - timedelta(minutes=10)
    used_at = now.replace(minute=15, second=0, microsecond=0) - timedelta(hours=1)
    with path.open("x", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(
            ("customer_id", "listing_id", "entitlement_id", "vendor", "dimension", "units", "price", "usage_at")
        )
        number = 0
        for one in sandbox.metering.billable():
            for dimension, price in one.prices.items():
                number += 1
                key = (one.customer_id, one.listing_id, one.entitlement_id, one.vendor, dimension)
                rows.writerow((*key, number % 9 + 1, price, used_at.isoformat()))
    return number


def change_some(sandbox: Sandbox) -> None:
    """A day of business: new customers, cancelled contracts, and accepted offers that renew contracts."""
    sandbox.rows.insert("customers", count=3)
    now = datetime.fromtimestamp(sandbox.calendar(), timezone.utc)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    active = [row for row in sandbox.rows.all("entitlements") if row["status"] == "active"]
    for row in active[:4]:
        sandbox.rows.change("entitlements", row["id"], {"status": "cancelled", "endDate": now.date().isoformat()})
        if all(other["customerId"] != row["customerId"] for other in active if other is not row):
            sandbox.rows.change("customers", row["customerId"], {"status": "inactive"})
    contracts = {(row["customerId"], row["listingId"]): row for row in active[4:]}
    offers = [row for row in sandbox.rows.all("private_offers") if row["status"] in ("sent", "viewed")]
    renewals = [row for row in offers if (row["customerId"], row["listingId"]) in contracts]
    for offer in renewals[:2]:
        sandbox.rows.change(
            "private_offers", offer["id"], {"status": "accepted", "viewedAt": stamp, "acceptedAt": stamp}
        )
        renewal = {
            "id": offer["id"].replace("offer_", "ent_"),
            "status": "pending",
            "startDate": offer["startDate"],
            "endDate": offer["endDate"],
            "privateOfferId": offer["id"],
            "value": offer["pricing"]["totalContractValue"],
            "createdAt": stamp,
            "updatedAt": stamp,
        }
        sandbox.rows.put("entitlements", {**contracts[offer["customerId"], offer["listingId"]], **renewal})
