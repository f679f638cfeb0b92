"""Customers in the flat form of `api/reference`: created with growing frequency over thirty months."""

from __future__ import annotations

from bisect import bisect_right

from .contracts import Contract, Status
from .generated_rows import GeneratedRows, Record
from .names import Company, company, currency_of
from .randomness import aws_account, azure_tenant
from .timestamps import DAY, format_timestamp

HISTORY_DAYS = 900
_AWS_SHARE = 0.62
_WITHOUT_CONTRACT_ACTIVE = 0.8


class Customers(GeneratedRows):
    """The customers of one organization.

    Args:
        seed: Seed of the rows.
        organization_id: Owner of the rows.
        count: Number of rows.
        now: Seconds since 1970.
    """

    table_number = 1
    statuses = ("active", "inactive")

    def __init__(self, seed: int, organization_id: str, count: int, now: float) -> None:
        super().__init__("cust_", seed, organization_id, now)
        self._names_shift = self._rng.randrange(10_000)
        random, last, first, span = self._rng.random, 0, now - HISTORY_DAYS * DAY, HISTORY_DAYS * DAY
        # Benchmarks make 100,000: one loop for the times, one expression for each of the other fields.
        for index in range(count):
            # An exponent below 1 makes the later customers denser. Whole seconds, none twice.
            last = max(int(first + span * ((index + random()) / count) ** 0.7), last + 1)
            self.created.append(last)
        self.updated.extend(self.created)
        self.vendor.extend([random() >= _AWS_SHARE for _ in range(count)])
        self.status.extend([random() >= _WITHOUT_CONTRACT_ACTIVE for _ in range(count)])

    def add(self, moment: float) -> int:
        """Generate an active customer, created at `moment`; returns its index."""
        self.created.append(moment)
        self.updated.append(moment)
        self.vendor.append(self._rng.random() >= _AWS_SHARE)
        self.status.append(0)
        return len(self) - 1

    def apply_contracts(self, contracts: list[Contract]) -> None:
        """Set status and time of the last change from the contracts: a customer without a current one is inactive."""
        current = {one.customer for one in contracts if one.status not in (Status.EXPIRED, Status.CANCELLED)}
        for one in contracts:
            if one.customer < len(self):
                self.updated[one.customer] = max(self.updated[one.customer], one.updated)
                self.status[one.customer] = 0 if one.customer in current else 1

    def known_at(self, moment: float) -> int:
        """Number of customers that were created before a time."""
        return bisect_right(self.created, moment)

    def company(self, index: int) -> Company:
        """The company of a customer; past the last customer, that of a prospect."""
        return company(index, self._names_shift)

    def currency(self, index: int) -> str:
        """Currency of a customer's contracts."""
        return currency_of(index, self._names_shift)

    def account(self, index: int) -> tuple[str, str]:
        """Field and value of the cloud account."""
        rng = self.rng(index)
        if self.vendor_at(index) == "azure":
            return "azureTenantId", azure_tenant(rng)
        return "awsAccountId", aws_account(rng)

    def record(self, index: int) -> Record:
        """The customer as the API returns it."""
        name, email, _ = self.company(index)
        field, account = self.account(index)
        return {
            "id": self.ids.at(index),
            "organizationId": self.organization_id,
            "vendor": self.vendor_at(index),
            field: account,
            "email": email,
            "companyName": name,
            "status": self.status_at(index),
            "createdAt": format_timestamp(self.created[index]),
            "updatedAt": format_timestamp(self.updated[index]),
        }
