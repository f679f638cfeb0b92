"""What is done to personal data in records before anything else sees them: the settings `personal` and `personal_key`.

    [sources.automatum.personal]
    "customers.email" = "hash"
    "customers.extra" = "drop"

A policy is applied to the records of an answer before keys and hashes are computed. So no table, no history and no hash
of a row has the value.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import ConfigurationError
from ..core.redaction import Secret
from ..core.suggest import suggestion
from ..endpoints import CUSTOMERS, ORGANIZATION, VENDOR, Child, Column, Endpoint
from .columns import EXTRA
from .json_text import dumps
from .records import Record, dig, pick, with_value

SETTING = "sources.automatum.personal"
_WORDS = ("keep", "hash", "drop")
_LEAST_KEY = 16
_JOINED = (ORGANIZATION, VENDOR, "customer_id", "listing_id", "status")
"""Columns by which a push and the models find rows, and `vendor`, which says where other values are found."""
Rules = Mapping[str, str]
"""Column to `hash` or `drop`."""


class Policy:
    """Hashes and drops values of the records of one endpoint.

    Args:
        endpoint: What the records are.
        rules: Table to its rules: that of the endpoint, and its child tables.
        key: Key of the hashes.
    """

    def __init__(self, endpoint: Endpoint, rules: Mapping[str, Rules], key: Secret | None = None) -> None:
        self._endpoint, self._key = endpoint, key or Secret("")
        self._own = rules.get(endpoint.table, {})
        self._children = [(child, rules[child.table]) for child in endpoint.children if rules.get(child.table)]

    def apply(self, records: Sequence[Record]) -> list[Record]:
        """The records without what the policy drops; those that are passed stay as they are."""
        found = self._changed(records, self._endpoint.columns, self._own)
        for child, rules in self._children:

            def entries(value: Any, child: Child = child, rules: Rules = rules) -> Any:
                if not isinstance(value, list):
                    return None
                # The fields of an entry that is no object are not known.
                objects = [one if isinstance(one, dict) else {} for one in value]
                changed = self._changed(objects, child.columns, rules)
                return _only_known(changed, child.columns) if EXTRA in rules else changed

            for place in child.places:
                found = [_with_change(record, place.split("."), entries) for record in found]
        if EXTRA in self._own:
            found = _only_known(found, self._endpoint.columns, self._endpoint.children, self._endpoint.key)
        return found

    def _changed(self, records: Sequence[Record], columns: Sequence[Column], rules: Rules) -> list[Record]:
        words = {place.path: rules[one.name] for one in columns if one.name in rules for place in one.places}
        found = list(records)
        for path, word in words.items():
            change, steps = (self._hash if word == "hash" else _drop), path.split(".")
            found = [_with_change(record, steps, change) for record in found]
        return found

    def _hash(self, value: Any) -> str | None:
        try:
            text = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else dumps(value)
        except TypeError:  # It has no JSON.
            return None
        return hmac.new(self._key.reveal().encode(), text, "sha256").hexdigest()


def forgetting(endpoint: Endpoint) -> Policy:
    """The policy for the records of a forgotten customer: without personal columns and unknown fields."""
    own = {one.name: "drop" for one in endpoint.columns if one.personal}
    children = {child.table: {EXTRA: "drop"} for child in endpoint.children}
    return Policy(endpoint, {endpoint.table: {**own, EXTRA: "drop"}, **children})


def customer_column(endpoint: Endpoint) -> Column | None:
    """The column that names the customer of a row; None if there is none."""
    return endpoint.find_column("id" if endpoint.table == CUSTOMERS.table else "customer_id")


def read_policies(endpoints: Sequence[Endpoint], given: Any, key: Secret | None) -> dict[str, Policy]:
    """The policy of each table that has one.

    Args:
        endpoints: All endpoints, with overrides applied.
        given: The setting `personal`: `<table>.<column>` to `keep`, `hash` or `drop`.
        key: The setting `personal_key`.

    Raises:
        ConfigurationError: A name or a word is not known, the column cannot be changed, or the key is too short.
    """
    if not given:
        return {}
    tables: dict[str, tuple[Endpoint, Sequence[Column]]] = {}
    for endpoint in endpoints:
        tables[endpoint.table] = endpoint, endpoint.columns
        tables.update({child.table: (endpoint, child.columns) for child in endpoint.children})
    known = [f"{table}.{name}" for table, (_, of) in tables.items() for name in (*(one.name for one in of), EXTRA)]
    rules: dict[str, dict[str, str]] = {}
    for name, word in _flat(given):
        if name not in known:
            raise _refused(name, "there is no such column.", suggestion(name, known, "Write it as customers.email."))
        if word not in _WORDS:
            step = suggestion(str(word), _WORDS, f"Words are {', '.join(_WORDS)}.")
            raise _refused(name, f"{word!r} is not known.", step)
        table, _, column = name.partition(".")
        if word != "keep":
            _check_column(name, word, *tables[table], column)
            rules.setdefault(table, {})[column] = word
    for table, of_table in rules.items():
        _check_shared(table, of_table, tables[table][1])
    hashes = any("hash" in of_table.values() for of_table in rules.values())
    if hashes and (not key or len(key.reveal()) < _LEAST_KEY):
        what = f"has fewer than {_LEAST_KEY} characters." if key else "is not set, and a column is hashed."
        step = "Set it to a random text, as of `openssl rand -hex 32`, and keep it: other keys make other hashes."
        raise ConfigurationError("sources.automatum.personal_key", what, step)
    own = {tables[table][0].table: tables[table][0] for table in rules}
    return {table: Policy(endpoint, rules, key) for table, endpoint in own.items()}


def _flat(given: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Names and words; TOML makes a table of a name with a dot that is not quoted."""
    if not isinstance(given, Mapping):
        raise ConfigurationError(SETTING, f"{given!r} is not a table.", 'Write "customers.email" = "hash" below it.')
    for name, word in given.items():
        if isinstance(word, Mapping) and not above:
            yield from _flat(word, f"{name}.")
        else:
            yield f"{above}{name}", word


def _check_column(name: str, word: str, endpoint: Endpoint, columns: Sequence[Column], column: str) -> None:
    found = next((one for one in columns if one.name == column), None)
    if found is None:  # extra
        if word == "hash":
            raise _refused(name, "holds several values, and cannot be hashed.", 'Set it to "drop".')
        return
    is_own = columns is endpoint.columns
    if column in _JOINED or found.references or (is_own and (column in endpoint.key or column == endpoint.own_column)):
        raise _refused(name, "identifies rows, or tables are joined by it.", "Leave it out.")
    if word == "hash" and found.type != "text":
        raise _refused(name, f"is a {found.type}, and a hash is a text.", 'Set it to "drop".')


def _check_shared(table: str, rules: Rules, columns: Sequence[Column]) -> None:
    """Refuse rules that leave a value in another column, which reads the same field."""
    for one in columns:
        for other in columns if one.name in rules else ():
            if rules.get(other.name) != rules[one.name] and _overlap(one, other):
                step = f'Set "{table}.{other.name}" = "{rules[one.name]}", too.'
                raise _refused(f"{table}.{one.name}", f"{table}.{other.name} reads the same field.", step)


def _overlap(one: Column, other: Column) -> bool:
    places = [(f"{a.path}.", f"{b.path}.") for a in one.places for b in other.places]
    return any(a.startswith(b) or b.startswith(a) for a, b in places)


def _refused(name: str, problem: str, step: str) -> ConfigurationError:
    return ConfigurationError(f"{SETTING}.{name}", problem, step)


def _drop(value: Any) -> None:
    return None


def _with_change(record: Record, steps: Sequence[str], change: Callable[[Any], Any]) -> Record:
    """The record with the value at a path changed; without it if nothing is left."""
    step, *rest = steps
    value = record.get(step)
    if value is None:
        return record
    if rest and isinstance(value, dict):
        inside = _with_change(value, rest, change)
        return record if inside is value else {**record, step: inside}
    # Of a parent that is no object, nobody knows where it has the value.
    changed = None if rest else change(value)
    return {name: one for name, one in record.items() if name != step} if changed is None else {**record, step: changed}


def _only_known(
    records: Sequence[Record], columns: Sequence[Column], children: Sequence[Child] = (), key: Sequence[str] = ()
) -> list[Record]:
    """The records with no more than what columns and child tables take, so that nothing is left for `extra`."""
    from .coerce import convert  # Arrow, which a command that moves no rows does not import.

    made: list[Record] = [{} for _ in records]
    for column in columns:
        found = [pick(record, column) for record in records]
        misfits = convert([value for value, _ in found], column.type)[1]
        for i, (value, path) in enumerate(found):
            if value is not None and (i not in misfits or column.name in key):
                made[i] = with_value(made[i], path, value)
    for child in children:
        for i, record in enumerate(records):
            lists = ((place, dig(record, place)) for place in child.places)
            if found_list := next((one for one in lists if isinstance(one[1], list)), None):
                made[i] = with_value(made[i], *found_list)
    return made
