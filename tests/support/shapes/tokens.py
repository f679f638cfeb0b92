"""Token answers of other shapes. The rest is as documented."""

from tests.support.shapes.api import SCOPES, Api
from tests.support.shapes.registry import registry
from tests.support.shapes.server import Answer

SHAPES, shape = registry("tokens", "customers")


def granted(name, names="", wrap=Answer, **changed):
    """Add a server whose token answer has other fields.

    Args:
        name: What differs.
        names: What a sync names if it is not complete.
        wrap: Makes the answer of the fields.
        changed: The fields; None removes one.
    """

    @shape(name, names)
    class Granted(Api):
        count = 3

        def token(self, call):
            fields = {"access_token": "token_shapes", "token_type": "Bearer", "expires_in": 3600}
            fields = {**fields, "scope": " ".join(SCOPES), **changed}
            return wrap({field: value for field, value in fields.items() if value is not None})

        def change(self):
            pass


granted("expires_in as text", expires_in="3600")
granted("expiresIn", expires_in=None, expiresIn=3600)
granted("no expires_in", expires_in=None)
granted("scope as a list", scope=list(SCOPES))
granted("scopes separated by commas", scope=", ".join(SCOPES))
granted("no scope", scope=None)
granted("the token in the envelope", wrap=lambda fields: Answer({"code": 200, "data": fields}))
granted("accessToken", names="access_token", access_token=None, accessToken="token_shapes")
granted("the token with a 201", wrap=lambda fields: Answer(fields, 201))
