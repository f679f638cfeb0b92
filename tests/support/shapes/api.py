"""The vendor's API as it is documented, in parts that a shape changes one by one."""

from datetime import datetime, timedelta
from math import ceil
from urllib.parse import unquote

from tests.support.shapes.server import Answer

SCOPES = ("read:customers", "read:entitlements", "read:private-offers", "read:analytics", "write:metering")
CREDENTIALS = {"client_id": "app_shapes", "client_secret": "secret_shapes_shapes"}


def customer(number, version=1):
    """A customer as the vendor documents it."""
    return {
        "id": f"cust_{number:05d}",
        "organizationId": "org_1",
        "vendor": "azure" if number % 3 == 0 else "aws",
        "awsAccountId": f"{number:012d}",
        "email": f"c{number}@example.com",
        "companyName": f"Company {number} v{version}",
        "status": "inactive" if number % 5 == 0 else "active",
        "createdAt": f"2023-0{number % 9 + 1}-11T10:20:30Z",
        "updatedAt": f"2023-10-{version + 10}T08:09:{number % 60:02d}Z",
    }


class Api:
    """The API with one list, customers, as the vendor documents it; a shape is a subclass that changes one thing.

    Attributes:
        rows: Id to row of the customers that exist, in their order.
        unlisted: Ids of customers that exist and that the list does not have.
        calls: Requests below the root, token calls apart.
        base_url: Set when it is served.
        prefix: Path of the root on its host.
        path: Path of the list.
        table: Table that the shape is about.
        largest: The most rows of a page.
        count: Number of rows at first.
        pause: Time between two syncs.
        configured: The connector has the settings that the shape needs.
        deletes: Rows that are gone are to be marked deleted in the end.
        most_requests: Requests of one sync that are more than enough.
    """

    prefix = ""
    path = "/api/v1/customers"
    table = "customers"
    largest = 100
    count = 230
    pause = timedelta(hours=1)
    configured = False
    deletes = True
    most_requests = 60

    def __init__(self):
        self.rows = {row["id"]: row for row in map(customer, range(self.count))}
        self.unlisted = set()
        self.calls = []
        self.base_url = ""
        self.client_id, self.client_secret = CREDENTIALS.values()

    # What happens on the server between two syncs

    def change(self):
        """Rows come, change and go, and one that is there is not listed."""
        ids = list(self.rows)
        for place in (0, 101, len(ids) - 1):
            del self.rows[ids[place]]
        for place in (1, 57, 150):
            self.rows[ids[place]] = customer(int(ids[place][5:]), version=2)
        self.rows.update({row["id"]: row for row in map(customer, (9001, 9002))})
        self.unlisted = {ids[77]}

    def settle(self):
        """Nothing changes but that all rows are listed again."""
        self.unlisted = set()

    # Routes

    def receive(self, call):
        """Answer any request."""
        path = call.path.removeprefix(self.prefix)
        if path == "/oauth/token":
            return self.token(call)
        self.calls.append(call)
        if path == self.path:
            return self.list(call)
        if path.startswith(self.path + "/"):
            return self.one(unquote(path.removeprefix(self.path + "/")))
        return self.not_found()

    def not_found(self):
        return Answer({"code": 404, "message": "Not found"}, 404)

    def token(self, call):
        fields = {"access_token": "token_shapes", "token_type": "Bearer", "expires_in": 3600}
        return Answer({**fields, "scope": " ".join(SCOPES)})

    # The list

    def list(self, call):
        """A page of the list: by page number and limit."""
        rows, size = self.listed(call), self.size(call)
        number = int(call.query.get("page", 1))
        counts = {"page": number, "limit": size, "total": len(rows), "pages": ceil(len(rows) / size)}
        return self.body(rows[(number - 1) * size : number * size], counts)

    def listed(self, call):
        """The rows of the list that a request asks for."""
        wanted = {name: call.query[name] for name in ("status", "vendor") if name in call.query}
        rows = [row for key, row in self.rows.items() if key not in self.unlisted]
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def size(self, call):
        """Rows of a page of a request."""
        return min(int(call.query.get("limit", 20)), self.largest)

    def body(self, rows, counts):
        """The answer with these rows of the list."""
        return Answer({"code": 200, "data": [self.record(row) for row in rows], "pagination": counts})

    def record(self, row):
        """A row in the form that it is served in."""
        return row

    # One row

    def one(self, key):
        """What a row's own URL answers."""
        row = next((row for row in self.rows.values() if self.own(row) == key), None)
        return self.not_found() if row is None else self.detail(row)

    def own(self, row):
        """What names a row in its own URL."""
        return str(row["id"])

    def detail(self, row):
        """The answer of the own URL of a row that exists."""
        return Answer({"code": 200, "data": {**self.record(row), "entitlements": []}})

    # What should be in the destination

    def truth(self, unlisted=False):
        """Key to row of the rows that are listed, and of those that are not.

        Args:
            unlisted: The latter, too.
        """
        return {self.key_of(row): row for key, row in self.rows.items() if unlisted or key not in self.unlisted}

    def key_of(self, row):
        """The key of a row in the destination."""
        return str(row["id"])

    def expected(self, row):
        """Column to value of a row in the destination."""
        return {
            "organization_id": row["organizationId"],
            "vendor": row["vendor"],
            "aws_account_id": row["awsAccountId"],
            "email": row["email"],
            "company_name": row["companyName"],
            "status": row["status"],
            "created_at": datetime.fromisoformat(row["createdAt"].replace("Z", "+00:00")),
            "updated_at": datetime.fromisoformat(row["updatedAt"].replace("Z", "+00:00")),
        }
