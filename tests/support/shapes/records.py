"""Records that are elsewhere in the answer, and that have other names, keys and formats."""

import re
from datetime import datetime
from decimal import Decimal

from tests.support.shapes.api import Api
from tests.support.shapes.registry import registry
from tests.support.shapes.server import Answer

SHAPES, shape = registry("records", "customers")
OF_ENTITLEMENTS, entitlements = registry("records", "entitlements")


# Envelopes


@shape("records at data.items, total beside them", records="data.items", total="data.total")
class DataItems(Api):
    def body(self, rows, counts):
        return Answer({"code": 200, "data": {"items": [self.record(row) for row in rows], "total": counts["total"]}})


@shape("records at items, no code", records="items", total="total")
class Items(Api):
    def body(self, rows, counts):
        return Answer({"items": [self.record(row) for row in rows], "total": counts["total"]})


@shape("records at results, count beside them", records="results", total="count")
class Results(Api):
    def body(self, rows, counts):
        return Answer({"count": counts["total"], "results": [self.record(row) for row in rows]})


@shape("a top-level array", names="JSON object")
class TopArray(Api):
    def body(self, rows, counts):
        return Answer([self.record(row) for row in rows])


class Coded(Api):
    """Answers with another code of success."""

    code = None

    def body(self, rows, counts):
        return self.coded(super().body(rows, counts))

    def detail(self, row):
        return self.coded(super().detail(row))

    def coded(self, answer):
        return Answer({**answer.body, "code": self.code})


@shape("code 0 is success", names="code")
class CodeZero(Coded):
    code = 0


@shape("code SUCCESS", names="code")
class CodeWord(Coded):
    code = "SUCCESS"


@shape("status ok instead of a code")
class StatusOk(Coded):
    def coded(self, answer):
        return Answer({"status": "ok", **{name: value for name, value in answer.body.items() if name != "code"}})


# The own URLs of rows


@shape("own URLs answer without an envelope")
class BareDetail(Api):
    def detail(self, row):
        return Answer(self.record(row))


@shape("own URLs of entitlements answer 404 for all rows")
class NoDetail(Api):
    """That customers have URLs of their own is documented; of other tables, it is not."""

    path = "/api/v1/entitlements"
    table = "entitlements"

    def one(self, key):
        return self.not_found()

    def expected(self, row):
        return {name: value for name, value in super().expected(row).items() if name not in ("email", "company_name")}

    def record(self, row):
        return {name: value for name, value in row.items() if name not in ("email", "companyName")}


@shape("own URLs answer 403 for all rows")
class ForbiddenDetail(Api):
    def one(self, key):
        return Answer({"code": 403, "message": "Forbidden"}, 403)


@shape("own URLs answer 500 for all rows")
class BrokenDetail(Api):
    def one(self, key):
        return Answer({"code": 500, "message": "Internal error"}, 500)


@shape("own URLs answer an empty object for rows that are gone")
class EmptyDetail(Api):
    def one(self, key):
        answer = super().one(key)
        return Answer({"code": 200, "data": {}}) if answer.status == 404 else answer


# Keys


class Keyed(Api):
    """The id has another name."""

    name = ""

    def record(self, row):
        return {self.name: row["id"], **{name: value for name, value in row.items() if name != "id"}}


@shape("the id is _id", names="columns", columns={"id": "_id"})
class UnderscoreId(Keyed):
    name = "_id"


@shape("the id is in another object", names="columns", columns={"id": "meta.id"})
class NestedId(Api):
    def record(self, row):
        return {"meta": {"id": row["id"]}, **{name: value for name, value in row.items() if name != "id"}}


@shape("the ids are numbers")
class NumericId(Api):
    def record(self, row):
        return {**row, "id": int(row["id"][5:])}

    def key_of(self, row):
        return str(int(row["id"][5:]))

    own = key_of


@shape("an id counts for one marketplace", names="customers.key", key=["vendor", "id"], detail_path="none")
class CompositeKey(Api):
    def record(self, row):
        number = int(row["id"][5:])
        return {**row, "id": f"{number // 2}", "vendor": ("aws", "azure")[number % 2]}

    def key_of(self, row):
        record = self.record(row)
        return f'["{record["vendor"]}","{record["id"]}"]'

    def own(self, row):
        return "no URL"

    def expected(self, row):
        return super().expected({**row, "vendor": self.record(row)["vendor"]})


@shape(
    "an id counts for one marketplace, and these are apart",
    names="customers.key",
    key=["vendor", "id"],
    detail_path="none",
)
class CompositeKeyApart(CompositeKey):
    def listed(self, call):
        return sorted(super().listed(call), key=lambda row: self.record(row)["vendor"])


@shape("own URLs by another field", key="awsAccountId", detail_path="none")
class OtherKey(Api):
    """Rows are identified by the account; their own URLs take the id."""

    def key_of(self, row):
        return row["awsAccountId"] if self.configured else row["id"]


# Names, places and formats


def snake(name):
    return re.sub(r"([A-Z])", lambda found: "_" + found[1].lower(), name)


@shape("snake_case names")
class SnakeCase(Api):
    def record(self, row):
        return {snake(name): value for name, value in row.items()}


_ATTRIBUTES = {
    snake(name): f"attributes.{name}"
    for name in ("organizationId", "vendor", "awsAccountId", "email", "companyName", "status", "createdAt", "updatedAt")
}


@shape("fields in attributes (JSON:API)", columns=_ATTRIBUTES)
class Attributes(Api):
    def record(self, row):
        fields = {name: value for name, value in row.items() if name != "id"}
        return {"type": "customers", "id": row["id"], "attributes": fields}


@shape("the company in another place", columns={"company_name": "account.name"})
class OtherPlace(Api):
    def record(self, row):
        fields = {name: value for name, value in row.items() if name != "companyName"}
        return {**fields, "account": {"name": row["companyName"]}}


@shape("fields that nobody knows")
class UnknownFields(Api):
    def record(self, row):
        return {**row, "loyalty": {"tier": "gold", "points": [1, 2]}, "_internal": True, "$ref": None}


@entitlements("the dimensions of entitlements in another place, with other names")
class OtherChildren(Api):
    """Each entitlement has as many dimensions as its number says, up to three."""

    path = "/api/v1/entitlements"
    table = "entitlements"

    def record(self, row):
        meters = [{"code": code, "amount": int(amount)} for code, amount in self.meters(row)]
        return {"id": row["id"], "vendor": row["vendor"], "updatedAt": row["updatedAt"], "plan": {"meters": meters}}

    def meters(self, row):
        return [(f"d{place}", Decimal(place + 1)) for place in range(int(row["id"][5:]) % 4)]

    def expected(self, row):
        kept = {name: value for name, value in super().expected(row).items() if name in ("vendor", "updated_at")}
        return {**kept, "entitlement_dimensions": self.meters(row) or None}


class Timed(Api):
    """Timestamps of another format."""

    def record(self, row):
        return {**row, **{name: self.time(row[name]) for name in ("createdAt", "updatedAt")}}

    def time(self, text):
        return self.form(datetime.fromisoformat(text.replace("Z", "+00:00")))


@shape("times in seconds since 1970")
class EpochSeconds(Timed):
    def form(self, moment):
        return int(moment.timestamp())


@shape("times as 11/01/2023 10:20:30")
class DayFirst(Timed):
    def form(self, moment):
        return moment.strftime("%d/%m/%Y %H:%M:%S")


@shape("times without a zone")
class NoZone(Timed):
    def form(self, moment):
        return moment.strftime("%Y-%m-%dT%H:%M:%S")


# Addresses


@shape("below a path of its host")
class BelowPath(Api):
    prefix = "/gateway/automatum"


@shape("another path", path="accounts")
class OtherPath(Api):
    path = "/api/v1/accounts"
