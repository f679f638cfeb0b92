"""Customers: the flat form of `api/reference`, and for one in twenty the nested form of `guide/api-integration`."""

from __future__ import annotations

import random
import uuid

from .rows import Record, Rows
from .stamps import write_stamp
from .words import COMPANIES, INDUSTRIES, PEOPLE, money


def aws_account(draw: random.Random) -> str:
    """A 12-digit account id; a good share begins with zeros."""
    return f"{draw.randrange(10**9 if draw.random() < 0.3 else 10**12):012d}"


def azure_tenant(draw: random.Random) -> str:
    """A tenant id: a UUID."""
    return str(uuid.UUID(int=draw.getrandbits(128), version=4))


class Customers(Rows):
    """The customers of one organization."""

    kind = 1
    statuses = ("active", "inactive")

    def record(self, index: int) -> Record:
        """The customer as the API returns it."""
        draw, vendor = self.draw(index), self.vendor_at(index)
        name = f"{COMPANIES[index % len(COMPANIES)]} {index}"
        email: str | None = f"{PEOPLE[index % len(PEOPLE)]}.{index}@example.{'com' if index % 3 else 'org'}"
        account = azure_tenant(draw) if vendor == "azure" else aws_account(draw)
        made: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "vendor": vendor,
            "status": self.status_at(index),
            "createdAt": write_stamp(self.created[index], self.style(index)),
            "updatedAt": write_stamp(self.updated[index], self.style(index)),
        }
        if index % 20 == 7:
            made["cloudIdentifier"] = account
            made["details"] = {
                "company": {"name": name, "industry": draw.choice(INDUSTRIES), "website": None},
                "contact": {"name": PEOPLE[index % len(PEOPLE)], "email": email, "phone": "+49 30 0000"},
            }
            return made
        made["azureTenantId" if vendor == "azure" else "awsAccountId"] = account
        if index % 37 != 8:
            made["companyName"] = name if index % 23 != 9 else None
        if index % 31 != 6:
            made["email"] = email if index % 29 != 2 else None
        if index % 17 == 3:
            # Fields no page mentions: a reader must carry them along.
            made["annualRevenue"] = money(draw, index)
            made["crm"] = {"segment": "mid-market", "owners": [{"name": "Zoë", "share": 0.5}], "tags": ["ä", "β", "🚀"]}
        return made
