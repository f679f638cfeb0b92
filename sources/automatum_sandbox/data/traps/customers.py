"""Customers: the flat form of `api/reference`, and for one in twenty the nested form of `guide/api-integration`."""

from __future__ import annotations

from ..generated_rows import Record
from ..randomness import aws_account, azure_tenant
from ..timestamps import format_timestamp
from .sample_data import COMPANIES, INDUSTRIES, PEOPLE, money
from .trap_rows import TrapRows


class Customers(TrapRows):
    """The customers of one organization."""

    table_number = 1
    statuses = ("active", "inactive")

    def record(self, index: int) -> Record:
        """The customer as the API returns it."""
        rng, vendor = self.rng(index), self.vendor_at(index)
        name = f"{COMPANIES[index % len(COMPANIES)]} {index}"
        email: str | None = f"{PEOPLE[index % len(PEOPLE)]}.{index}@example.{'com' if index % 3 else 'org'}"
        account = azure_tenant(rng) if vendor == "azure" else aws_account(rng)
        record: Record = {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "vendor": vendor,
            "status": self.status_at(index),
            "createdAt": format_timestamp(self.created[index], self.timestamp_style(index)),
            "updatedAt": format_timestamp(self.updated[index], self.timestamp_style(index)),
        }
        if index % 20 == 7:
            record["cloudIdentifier"] = account
            record["details"] = {
                "company": {"name": name, "industry": rng.choice(INDUSTRIES), "website": None},
                "contact": {"name": PEOPLE[index % len(PEOPLE)], "email": email, "phone": "+49 30 0000"},
            }
            return record
        record["azureTenantId" if vendor == "azure" else "awsAccountId"] = account
        if index % 37 != 8:
            record["companyName"] = name if index % 23 != 9 else None
        if index % 31 != 6:
            record["email"] = email if index % 29 != 2 else None
        if index % 17 == 3:
            # Fields that the vendor does not document.
            record["annualRevenue"] = money(rng, index)
            record["crm"] = {
                "segment": "mid-market",
                "owners": [{"name": "Zoë", "share": 0.5}],
                "tags": ["ä", "β", "🚀"],
            }
        return record
