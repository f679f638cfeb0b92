"""The answers of the models, computed a second time: in pandas and Python, from the raw tables, day by day.

No code or SQL of the connector takes part. What the models do by events and windows, this does by looking at each day.
"""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property

import pandas as pd

ANNUAL_DAYS, GAP, HORIZON, HANGING, OPEN_DAYS, TOLERANCE = 365, 30, 180, 14, 35, Decimal("0.005")
COUNTED = {"active", "suspended", "pending", "expired", "cancelled"}
ENDED = {"cancelled"}
OPEN = {"draft", "created", "pending", "sent", "viewed"}
ZERO = Decimal(0)
ONE_DAY = timedelta(days=1)


def rounded(value, places):
    """A fraction as a decimal, rounded half away from zero."""
    scaled = abs(value) * 10**places
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole if value >= 0 else -whole).scaleb(-places)


def day_of(moment):
    """The day of a moment in UTC."""
    return None if moment is None else moment.astimezone(timezone.utc).date()


def month_of(day):
    return None if day is None else day.replace(day=1)


def last_day_of(month):
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1) - ONE_DAY


def by_day(panel):
    """Day to the customers and values of its rows."""
    days = {}
    for day, customer, value in zip(panel["day"], panel["customer_id"], panel["value"], strict=True):
        days.setdefault(day, []).append((customer, value))
    return days


def sums(rows):
    """Customer to the sum of its values."""
    found = {}
    for customer, value in rows:
        found[customer] = found.get(customer, ZERO) + value
    return found


class Answers:
    """The answers for one dataset.

    Args:
        read: Returns the rows of a table as dicts; none if it does not exist.
        today: The day up to which everything is counted.
        fees: Rows of `expected_fees`.
        rates: Rows of `exchange_rates`, to `reporting`.
        reporting: The reporting currency.
    """

    def __init__(self, read, today, fees=(), rates=(), reporting=""):
        self.today, self.fees, self.rates, self.reporting = today, fees, rates, reporting
        self.customers = self._live(read("customers"))
        self.entitlements = self._live(read("entitlements"))
        self.offers = self._live(read("private_offers"))
        self.revenue = self._live(read("analytics_revenue"))
        self.all_revenue = read("analytics_revenue")
        self.payments, self.lines = read("private_offer_payments"), read("metering_lines")
        self.history, self.revenue_history = read("entitlements_history"), read("analytics_revenue_history")
        self.sweeps, self.journal, self.rejected = (
            read(name) for name in ("_automatum_sweeps", "metering_journal", "_automatum_rejected")
        )
        names = [one["organization_id"] for one in (*self.customers, *self.entitlements, *self.offers)]
        self.only = min((one for one in names if one), default="")
        self.companies = {(self.org(one), one["id"]): one["company_name"] for one in self.customers}

    @staticmethod
    def _live(rows):
        return [one for one in rows if one["_deleted_at"] is None]

    def org(self, row):
        return row.get("organization_id") or self.only

    # Revenue

    def revenue_monthly(self):
        """Rows: organization, month, vendor, listing, currency, and the sums."""
        restated = self._restated()
        groups = {}
        for one in self.revenue:
            currency = one["currency"] or "unknown"
            key = self.org(one), month_of(one["date"]), one["vendor"] or "unknown", one["listing_id"], currency
            groups.setdefault(key, []).append(one)
        answers = []
        for key, rows in groups.items():
            frame = pd.DataFrame(rows)
            days = {one["date"] for one in rows}
            converted = [self._converted(one) for one in rows]
            answers.append(
                {
                    **dict(zip(("organization_id", "month", "vendor", "listing_id", "currency"), key, strict=True)),
                    "gross": frame["revenue"].sum(),
                    "fee": frame["marketplace_fee"].sum(),
                    "net": frame["net_revenue"].sum(),
                    "refunds": sum((one for one in frame["revenue"] if one < 0), ZERO),
                    "charges": int(frame["count"].sum()),
                    "customers": frame["customer_id"].nunique(),
                    "net_converted": None if None in converted or not self.reporting else sum(converted, ZERO),
                    "restated_days": len(restated.get(key, ())),
                    "open_days": sum(1 for day in days if day and day > self.today - timedelta(days=OPEN_DAYS)),
                    "basis": "history" if self.revenue_history else "last change",
                }
            )
        return answers

    def _converted(self, row):
        if row["currency"] == self.reporting:
            return row["net_revenue"]
        fit = [one for one in self.rates if one["currency"] == row["currency"] and one["valid_from"] <= row["date"]]
        return row["net_revenue"] * max(fit, key=lambda one: one["valid_from"])["rate"] if fit else None

    def _restated(self):
        """Days that changed after they were first read, by the key of a month."""
        readings = [(one, one["valid_from"]) for one in self.revenue_history]
        if not readings:
            readings = [(one, one["_synced_at"]) for one in self.all_revenue]
            readings += [(one, one["_deleted_at"]) for one in self.all_revenue if one["_deleted_at"]]
        first, found = {}, {}
        for one, at in readings:
            place = self.org(one), one["date"]
            first[place] = min(first.get(place, date.max), day_of(at))
        for one, at in readings:
            day = one["date"]
            if day_of(at) > max(first[self.org(one), day], day):
                key = self.org(one), month_of(day), one["vendor"], one["listing_id"], one["currency"] or "unknown"
                found.setdefault(key, set()).add(day)
        return found

    def fee_check(self):
        """Rows: organization, month, vendor, listing, currency, expected percent, and the sums."""
        groups = {}
        for one in self.revenue:
            currency = one["currency"] or "unknown"
            key = self.org(one), month_of(one["date"]), one["vendor"], one["listing_id"], currency, self._percent(one)
            groups.setdefault(key, []).append(one)
        answers = []
        for key, rows in groups.items():
            percent, (gross, fee) = key[-1], (sum(one[name] for one in rows) for name in ("revenue", "marketplace_fee"))
            expected = None if percent is None else gross * percent / 100
            difference = None if percent is None else fee - expected
            verdict, most = "no expected fee", TOLERANCE * len(rows)
            if percent is not None:
                verdict = "too high" if difference > most else "too low" if -difference > most else "as expected"
            names = ("organization_id", "month", "vendor", "listing_id", "currency", "expected_percent")
            answers.append(
                {
                    **dict(zip(names, key, strict=True)),
                    "fee_percent": rounded(Fraction(fee) * 100 / Fraction(gross), 4) if gross else None,
                    "gross": gross,
                    "fee": fee,
                    "expected_fee": expected,
                    "difference": difference,
                    "revenue_rows": len(rows),
                    "verdict": verdict,
                }
            )
        return answers

    def _percent(self, row):
        """Of all expected fees that fit, the most special one; of these the latest."""
        facts = {**row, "organization_id": self.org(row)}
        order = ("customer_id", "listing_id", "organization_id", "vendor", "currency")
        fit = []
        for one in self.fees:
            same = all(one.get(name) in (None, facts[name]) for name in order)
            if same and (one.get("valid_from") or date.min) <= row["date"] <= (one.get("valid_to") or date.max):
                special = [one.get(name) is not None for name in order]
                fit.append((special, one.get("valid_from") or date.min, one["percent"]))
        return max(fit)[2] if fit else None

    # Contracts

    def _term(self, row):
        """The first and last day that count, and the annual value; None for what there is none of."""
        agreed = row["end_date"] or (day_of(row["expires_at"] - timedelta(seconds=1)) if row["expires_at"] else None)
        changed, end = day_of(row["updated_at"]), agreed
        if row["status"] in ENDED and (agreed is None or (changed and changed < agreed)):
            end = changed
        start, annual = row["start_date"], None
        until = agreed or (end if row["status"] in ENDED else None)
        if start and until and row["status"] in COUNTED and row["value"] is not None and until >= start:
            annual = rounded(Fraction(row["value"]) * ANNUAL_DAYS / ((until - start).days + 1), 2)
        return start, end, annual

    @cached_property
    def successors(self):
        """Organization and id of each listed entitlement to the row that renews it, if there is one."""
        found = {}
        for one in self.entitlements:
            start, end, _ = self._term(one)
            fit = []
            for other in self.entitlements:
                same = all(
                    one[name] == other[name] for name in ("organization_id", "customer_id", "vendor", "listing_id")
                )
                begin, last, _ = self._term(other)
                if not (same and None not in (start, end, begin, last) and other["status"] in COUNTED):
                    continue
                if begin > start and last > end and begin <= min(last, end + timedelta(days=1 + GAP)):
                    fit.append((begin, other["id"], other))
            if fit:
                found[self.org(one), one["id"]] = min(fit, key=lambda pair: pair[:2])[2]
        return found

    @cached_property
    def since(self):
        """The first day of the history by organization; empty without one."""
        found = {}
        for one in self.history:
            found[self.org(one)] = min(found.get(self.org(one), date.max), day_of(one["valid_from"]))
        return found

    @cached_property
    def panel(self):
        """A frame with a row for each day, entitlement, customer, vendor and currency, and its annual value."""
        current = {(self.org(one), one["id"]): one for one in self.entitlements}
        versions = {}
        for one in sorted(self.history, key=lambda row: row["valid_from"]):
            versions.setdefault((self.org(one), one["id"]), []).append(one)
        known = {
            key: [(date.min, {**one, "deleted": False})] for key, one in current.items() if key[0] not in self.since
        }
        for key, rows in versions.items():
            known[key] = [(day_of(one["valid_from"]) if at else date.min, one) for at, one in enumerate(rows)]
        rows = []
        for key, states in known.items():
            for at, (begins, state) in enumerate(states):
                ends = states[at + 1][0] if at + 1 < len(states) else date.max
                start, last, annual = self._term(state)
                if state["deleted"] or annual is None:
                    continue
                follows = self.successors.get(key)
                if follows and self._term(current[key])[1] == last and follows["start_date"] > last:
                    last = follows["start_date"] - ONE_DAY
                day = max(start, begins)
                while day <= min(last, self.today) and day < ends:
                    currency = state["currency"] or "unknown"
                    rows.append((day, key[0], key[1], state["customer_id"], state["vendor"], currency, annual))
                    day += ONE_DAY
        names = ["day", "organization_id", "entitlement_id", "customer_id", "vendor", "currency", "value"]
        return pd.DataFrame(rows, columns=names)

    def contract_value_daily(self):
        """Rows: organization, day, vendor, currency, the value and its changes."""
        answers, keys = [], ["organization_id", "vendor", "currency"]
        renewing = {(key[0], one["id"]) for key, one in self.successors.items()}
        for key, frame in self.panel.groupby(keys):
            org, vendor, currency = key
            before, day = {}, frame["day"].min()
            days = by_day(frame)
            own = [one for one in self.entitlements if (self.org(one), one["vendor"]) == (org, vendor)]
            own = [one for one in own if (one["currency"] or "unknown") == currency]
            while day <= self.today:
                rows = days.get(day, ())
                now = sums(rows)
                moves = dict.fromkeys(("new_value", "expansion_value", "contraction_value", "churn_value"), ZERO)
                for one in before.keys() | now.keys():
                    old, new = before.get(one, ZERO), now.get(one, ZERO)
                    name = "new" if not old else "churn" if not new else "expansion" if new > old else "contraction"
                    moves[f"{name}_value"] += new - old
                begun = [self._term(one)[2] for one in own if one["start_date"] == day and (org, one["id"]) in renewing]
                answers.append(
                    {
                        **dict(zip(keys, key, strict=True)),
                        "day": day,
                        "value": sum(now.values(), ZERO),
                        **moves,
                        "renewal_value": sum((one for one in begun if one is not None), ZERO),
                        "contracts": len(rows),
                        "customers": len(now),
                        "contracts_left_out": sum(1 for one in own if self._term(one)[2] is None),
                        "basis": "history" if day >= self.since.get(org, date.max) else "terms",
                    }
                )
                before, day = now, day + ONE_DAY
        return answers

    def retention_monthly(self):
        """Rows: organization, month, currency, and the values of the customers then and now."""
        answers = []
        for (org, currency), frame in self.panel.groupby(["organization_id", "currency"]):
            month, days = frame["day"].min().replace(day=1), by_day(frame)
            while last_day_of(month) < self.today:
                earlier = last_day_of(month.replace(year=month.year - 1))
                then, now = (sums(days.get(day, ())) for day in (earlier, last_day_of(month)))
                if then:
                    opening, closing = sum(then.values()), sum(now.get(one, ZERO) for one in then)
                    kept = sum(min(now.get(one, ZERO), value) for one, value in then.items())
                    answers.append(
                        {
                            "organization_id": org,
                            "month": month,
                            "compared_with": earlier,
                            "currency": currency,
                            "customers": len(then),
                            "customers_kept": sum(1 for one in then if one in now),
                            "opening_value": opening,
                            "kept_value": kept,
                            "closing_value": closing,
                            "gross_retention": rounded(Fraction(kept) / Fraction(opening), 4),
                            "net_retention": rounded(Fraction(closing) / Fraction(opening), 4),
                            "basis": "history" if earlier >= self.since.get(org, date.max) else "terms",
                        }
                    )
                month = last_day_of(month) + ONE_DAY
        return answers

    def contracts_ending(self):
        """Rows: the active entitlements that end soon, with their successors."""
        answers = []
        for one in self.entitlements:
            _, end, annual = self._term(one)
            if one["status"] != "active" or end is None or not 0 <= (end - self.today).days <= HORIZON:
                continue
            left, follows = (end - self.today).days, self.successors.get((self.org(one), one["id"]))
            answers.append(
                {
                    "organization_id": self.org(one),
                    "entitlement_id": one["id"],
                    "company_name": self.companies.get((self.org(one), one["customer_id"])),
                    "ends_on": end,
                    "days_left": left,
                    "bucket": next(size for size in (30, 60, 90, 120, 180) if left <= size),
                    "value": one["value"],
                    "annual_value": annual,
                    "currency": one["currency"] or "unknown",
                    "successor_id": follows and follows["id"],
                    "successor_value": follows and follows["value"],
                }
            )
        return answers

    def customers_left(self):
        """Rows: customers without a contract that goes on, by currency of the contracts that ended last."""
        answers, groups = [], {}
        for one in self.entitlements:
            groups.setdefault((self.org(one), one["customer_id"], one["vendor"]), []).append(one)
        for (org, customer, vendor), rows in groups.items():
            ends = [self._term(one)[1] for one in rows]
            if customer is None or None in ends or max(ends) >= self.today:
                continue
            last = [one for one, end in zip(rows, ends, strict=True) if end == max(ends)]
            for currency in {one["currency"] or "unknown" for one in last}:
                lost = [self._term(one)[2] for one in last if (one["currency"] or "unknown") == currency]
                lost = [one for one in lost if one is not None]
                answers.append(
                    {
                        "organization_id": org,
                        "customer_id": customer,
                        "company_name": self.companies.get((org, customer)),
                        "vendor": vendor,
                        "last_day": max(ends),
                        "left_on": max(ends) + ONE_DAY,
                        "contracts": len(rows),
                        "currency": currency,
                        "lost_value": sum(lost, ZERO) if lost else None,
                        "may_return": (self.today - max(ends)).days <= GAP,
                    }
                )
        return answers

    # Offers and payments

    def offers_open(self):
        """Rows: offers that wait, since when, and whether they hang."""
        answers = []
        for one in self.offers:
            if one["status"] not in OPEN:
                continue
            basis = {"viewed": "viewed_at", "sent": "sent_at"}.get(one["status"], "created_at")
            basis = basis if one[basis] else "updated_at"
            since, expires = day_of(one[basis]), one["expiration_date"]
            if expires is None and one["expires_at"]:
                expires = day_of(one["expires_at"] - timedelta(seconds=1))
            hangs = (self.today - since).days > HANGING or (expires is not None and expires < self.today)
            answers.append(
                {
                    "organization_id": self.org(one),
                    "private_offer_id": one["id"],
                    "status": one["status"],
                    "in_state_since": since,
                    "since_basis": basis,
                    "days_in_state": (self.today - since).days,
                    "expires_on": expires,
                    "hangs": hangs,
                    "total_contract_value": one["total_contract_value"],
                    "currency": one["currency"] or "unknown",
                }
            )
        return answers

    def payments_due(self):
        """Rows: the payments of accepted offers that were not cancelled."""
        offers = {(self.org(one), one["id"]): one for one in self.offers}
        ends = {}
        for one in self.entitlements:
            ends.setdefault((self.org(one), one["private_offer_id"]), []).append(self._term(one)[1])
        answers = []
        for one in self._live(self.payments):
            key = self.org(one), one["private_offer_id"]
            offer = offers.get(key)
            if one.get("_removed") or not offer or offer["status"] != "accepted" or offer["cancelled_at"]:
                continue
            over = ends.get(key, [None])
            answers.append(
                {
                    "organization_id": key[0],
                    "private_offer_id": key[1],
                    "position": one["position"],
                    "due_on": one["date"],
                    "is_over": one["date"] < self.today,
                    "ended_before": None not in over and max(over) < one["date"],
                    "amount": one["amount"],
                    "currency": one["currency"] or offer["currency"] or "unknown",
                }
            )
        return answers

    # Usage and syncs

    def usage_by_month(self):
        """Rows: what became of the usage of each month, customer and dimension, in units and money."""
        names = ["month", "vendor", "customer_id", "listing_id", "dimension", "currency"]
        groups = {}
        for one in self.lines:
            facts = {**one, "month": month_of(one["day"]), "currency": one["currency"] or "unknown"}
            groups.setdefault((self.org(one), *(facts[name] for name in names)), []).append(one)
        answers = []
        for key, rows in groups.items():
            made = dict(zip(("organization_id", *names), key, strict=True))
            with localcontext() as context:
                context.prec = 60
                for kind in ("units", "amount"):
                    columns = (
                        "measured",
                        "carried_in",
                        "accepted",
                        "confirmed",
                        "carried_out",
                        "open",
                        "over_billed",
                        "refused",
                        "written_off",
                    )
                    totals = dict.fromkeys(columns, ZERO)
                    for one in rows:
                        rest = {"unbilled": "refused", "settled": "written_off"}.get(one["state"], "open")
                        taken = "confirmed" if one["state"] == "confirmed" else "accepted"
                        totals["carried_in" if one["carried_from"] else "measured"] += one[f"asked_{kind}"]
                        totals[taken] += one[f"accepted_{kind}"] or ZERO
                        totals["carried_out"] += one[f"carried_{kind}"] or ZERO
                        if rest == "open" and one[f"open_{kind}"] < 0:
                            totals["over_billed"] -= one[f"open_{kind}"]
                        else:
                            totals[rest] += one[f"open_{kind}"]
                    made |= {f"{name}_{kind}": value for name, value in totals.items()}
            settled = ("accepted", "confirmed", "settled")
            bad = [
                one for one in rows if one["state"] not in settled or (one["open_units"] and one["state"] != "settled")
            ]
            answers.append({**made, "lines": len(rows), "unresolved_lines": len(bad), "is_billed": not bad})
        return answers

    def sync_health(self):
        """Rows: each table's last verdict, the age of its last complete reading, and what is open."""
        answers, groups = [], {}
        for one in self.sweeps:
            groups.setdefault((self.org(one), one["table_name"]), []).append(one)
        for (org, table), rows in groups.items():
            rows = sorted(rows, key=lambda row: row["finished_at"])
            complete = [at for at, one in enumerate(rows) if one["verdict"] == "complete"]
            last = rows[complete[-1]] if complete else None
            items = [one for one in self.rejected if (self.org(one), one["table_name"]) == (org, table)]
            answers.append(
                {
                    "organization_id": org,
                    "table_name": table,
                    "last_verdict": rows[-1]["verdict"],
                    "days_old": (self.today - day_of(last["finished_at"])).days if last else None,
                    "incomplete_since_then": len(rows) - 1 - (complete[-1] if complete else -1),
                    "rows_listed": last and last["distinct_keys"],
                    "open_items": sum(1 for one in items if one["resolved_at"] is None),
                }
            )
        for org in {self.org(one) for one in self.journal}:
            still = [one for one in self.journal if self.org(one) == org and one["closed_at"] is None]
            empty = dict.fromkeys(("last_verdict", "days_old", "rows_listed"))
            facts = {"organization_id": org, "table_name": "metering_journal", "incomplete_since_then": 0}
            answers.append({**facts, **empty, "open_items": len(still)})
        return answers


def plain(rows, columns):
    """Rows as sorted tuples of texts, with numbers in their shortest exact form, so that equal is equal."""
    return sorted(tuple(_plain(row[name]) for name in columns) for row in rows)


def _plain(value):
    if isinstance(value, Decimal):
        text = format(value, "f")  # Not `normalize`, which rounds to 28 digits.
        return (text.rstrip("0").rstrip(".") if "." in text else text) if value else "0"
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat()
    return str(value)
