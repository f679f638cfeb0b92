"""Reports of other shapes: ranges that are cut or ignored, pages, other names."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from math import ceil

from tests.support.clocks import FakeClock
from tests.support.shapes.api import Api
from tests.support.shapes.registry import registry
from tests.support.shapes.server import Answer

SHAPES, shape = registry("reports", "analytics_revenue")
_TODAY = datetime.fromtimestamp(FakeClock().time(), timezone.utc).date()
_DAYS = 365


def revenue(day, vendor, amount):
    """A row of the report in the assumed form."""
    return {"date": day.isoformat(), "vendor": vendor, "currency": "USD", "revenue": amount}


class Report(Api):
    """The report: two rows a day for a year and today, answered whole, both ends of the range included."""

    path = "/api/v1/analytics/revenue"
    table = "analytics_revenue"
    vendors = ("aws", "azure")
    pause = timedelta(days=1)

    def __init__(self):
        super().__init__()
        self.rows = {}
        for back in range(_DAYS + 1):
            self.add(_TODAY - timedelta(days=back))

    def add(self, day):
        for place, vendor in enumerate(self.vendors):
            row = revenue(day, vendor, round((day.toordinal() % 97) * 1.25 + place, 2))
            self.rows[row["date"], vendor] = row

    def change(self):
        """The next day comes, a day is restated, and a row is gone."""
        self.add(_TODAY + timedelta(days=1))
        days = sorted({day for day, *_ in self.rows})
        self.rows[days[-3], "aws"]["revenue"] = 9.99
        del self.rows[days[-5], "azure"]

    def settle(self):
        """The day after comes."""
        self.add(_TODAY + timedelta(days=2))

    def list(self, call):
        start, end = self.asked(call)
        return self.whole(self.between(start, end), call)

    @property
    def last(self):
        """The last day with revenue."""
        return max(date.fromisoformat(day) for day, *_ in self.rows)

    def asked(self, call):
        """First and last day that a request asks for."""
        return date.fromisoformat(call.query["startDate"]), date.fromisoformat(call.query["endDate"])

    def between(self, start, end):
        return [row for row in self.rows.values() if start.isoformat() <= row["date"] <= end.isoformat()]

    def whole(self, rows, call):
        """The answer with all rows of a request."""
        return Answer({"code": 200, "data": [self.record(row) for row in rows]})

    def key_of(self, row):
        return f'["{row["date"]}",null,"{row["vendor"]}",null,null,"{row["currency"]}"]'

    def expected(self, row):
        return {
            "date": date.fromisoformat(row["date"]),
            "vendor": row["vendor"],
            "currency": row["currency"],
            "revenue": Decimal(str(row["revenue"])),
        }


@shape("a report as assumed")
class AsAssumed(Report):
    pass


@shape("a report in pages, with pagination beside it", names="report_window_days")
class Paged(Report):
    def whole(self, rows, call):
        number, size = int(call.query.get("page", 1)), min(int(call.query.get("limit", 20)), 100)
        counts = {"page": number, "limit": size, "total": len(rows), "pages": ceil(len(rows) / size)}
        answer = super().whole(rows[(number - 1) * size : number * size], call)
        return Answer({**answer.body, "pagination": counts})


@shape("a report that is cut at 20 rows and announces its total", names="report_window_days")
class CutWithTotal(Report):
    def whole(self, rows, call):
        answer = super().whole(rows[:20], call)
        return Answer({**answer.body, "pagination": {"page": 1, "limit": 20, "total": len(rows), "pages": 1}})


@shape("a report that ignores the range: the last 30 days", names="analytics_revenue.parameters")
class LastThirty(Report):
    def asked(self, call):
        return self.last - timedelta(days=29), self.last


@shape("a report that ignores the range: all days", names="analytics_revenue.parameters")
class AllDays(Report):
    def asked(self, call):
        return date.min, date.max


@shape("a report that cuts the range to its first 90 days")
class FirstNinety(Report):
    def asked(self, call):
        start, end = super().asked(call)
        return start, min(end, start + timedelta(days=89))


@shape("a report that cuts the range to its last 90 days")
class LastNinety(Report):
    def asked(self, call):
        start, end = super().asked(call)
        return max(start, end - timedelta(days=89)), end


@shape("a report that refuses more than 90 days")
class RefusesMore(Report):
    def list(self, call):
        start, end = self.asked(call)
        if (end - start).days >= 90:
            errors = [{"field": "endDate", "message": "At most 90 days"}]
            return Answer({"code": 400, "message": "Validation failed", "errors": errors}, 400)
        return super().list(call)


@shape(
    "a report that cuts the range to its first 20 days",
    names="report_window_days",
    connection={"report_window_days": 20},
)
class FirstTwenty(Report):
    def asked(self, call):
        start, end = super().asked(call)
        return start, min(end, start + timedelta(days=19))


@shape("a report that cuts an answer at 100 rows", names="report_window_days", connection={"report_window_days": 30})
class HundredRows(Report):
    def whole(self, rows, call):
        return super().whole(rows[:100], call)


@shape("a report that cuts an answer at 600 rows, sorted by marketplace")
class SixHundredRows(Report):
    def whole(self, rows, call):
        return super().whole(sorted(rows, key=lambda row: (row["vendor"], row["date"]))[:600], call)


@shape(
    "a report that cuts an answer at 141 rows, sorted by marketplace",
    names="report_window_days",
    connection={"report_window_days": 30},
)
class OddNumberOfRows(Report):
    def whole(self, rows, call):
        return super().whole(sorted(rows, key=lambda row: (row["vendor"], row["date"]))[:141], call)


@shape("a report with from and to", parameters={"start": "from", "end": "to"})
class FromTo(Report):
    def asked(self, call):
        start = call.query.get("from", (self.last - timedelta(days=29)).isoformat())
        return date.fromisoformat(start), date.fromisoformat(call.query.get("to", self.last.isoformat()))


@shape("a report without the last day of the range")
class Exclusive(Report):
    def asked(self, call):
        start, end = super().asked(call)
        return start, end - timedelta(days=1)

    def truth(self, unlisted=False):
        """Today is in the report of tomorrow."""
        last = self.last.isoformat()
        return {key: row for key, row in super().truth(unlisted).items() if row["date"] < last}


@shape("a report at another path", names="analytics_revenue.path", path="analytics/earnings")
class OtherPath(Report):
    path = "/api/v1/analytics/earnings"


@shape("a report at another place of the answer", records="result.lines")
class OtherPlace(Report):
    def whole(self, rows, call):
        return Answer({"code": 200, "result": {"lines": [self.record(row) for row in rows]}})


@shape("a report whose days are in another column", names="analytics_revenue.key", columns={"date": "day"})
class OtherDate(Report):
    def record(self, row):
        return {"day" if name == "date" else name: value for name, value in row.items()}


@shape("a report with a line a customer", names="analytics_revenue.key", key=["date", "vendor", "buyer"])
class FinerKey(Report):
    """Two lines of a day and marketplace; their buyers are in a field that nobody knows."""

    def add(self, day):
        super().add(day)
        for vendor in self.vendors:
            self.rows[day.isoformat(), vendor] |= {"buyer": "b1"}
            self.rows[day.isoformat(), vendor, 2] = {**self.rows[day.isoformat(), vendor], "buyer": "b2"}

    def key_of(self, row):
        return f'["{row["date"]}","{row["vendor"]}","{row["buyer"]}"]'


@shape("a report that begins later than asked")
class BeginsLater(Report):
    def __init__(self):
        super().__init__()
        first = (_TODAY - timedelta(days=40)).isoformat()
        self.rows = {key: row for key, row in self.rows.items() if key[0] >= first}


@shape("a report with days without revenue")
class Gaps(Report):
    def __init__(self):
        super().__init__()
        self.rows = {key: row for key, row in self.rows.items() if date.fromisoformat(key[0]).weekday() < 5}


@shape("an empty report")
class EmptyReport(Report):
    def __init__(self):
        super().__init__()
        self.rows = {}

    def change(self):
        pass

    def settle(self):
        pass
