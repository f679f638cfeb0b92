"""A cell of the battery: three syncs of an API of one shape, with or without the setting that it needs."""

import json
from dataclasses import dataclass, field

from automatum.sync.results import Verdict


@dataclass(frozen=True)
class Shape:
    """An API that differs in one thing, and the setting that it needs.

    Attributes:
        name: What differs.
        api: Makes the API.
        settings: The settings that it needs; empty if it needs none.
        names: What a sync without them names in its message, if it is not complete.
        group: Part of the battery.
    """

    name: str
    api: type
    settings: dict = field(default_factory=dict)
    names: str = ""
    group: str = ""


@dataclass(frozen=True)
class Outcome:
    """What one sync of a table came to.

    Attributes:
        verdict: `complete`, `incomplete`, `more_to_do`, `skipped` or `error`.
        code: Exit code of the error.
        says: Reason or error, with the next step.
    """

    verdict: str
    code: int = 0
    says: str = ""

    @classmethod
    def failed(cls, error):
        return cls("error", error.exit_code, f"{error.message} {error.next_step}")

    @classmethod
    def of(cls, result):
        """Of a table's result."""
        if result.error:
            return cls.failed(result.error)
        if result.skipped:
            return cls("skipped", says=result.skipped)
        if result.verdict is Verdict.MORE_TO_DO:
            return cls("more_to_do", says=str(result.stopped))
        return cls(result.verdict.value, says=result.reason)

    @property
    def complete(self):
        return self.verdict == "complete"

    @property
    def short(self):
        """The verdict in a word or two."""
        return f"error {self.code}" if self.code else self.verdict.replace("_", " ")


@dataclass
class Cell:
    """What three syncs of a shape came to: at first, after changes on the server, and when nothing changes any more.

    Attributes:
        outcomes: Of each sync.
        faults: What must not be: rows lost under `complete`, live rows marked deleted, requests without end.
        elsewhere: Columns whose values are in `extra` only.
        left: Keys of rows that are gone from the server and not marked deleted.
    """

    outcomes: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    elsewhere: list = field(default_factory=list)
    left: list = field(default_factory=list)

    @property
    def worst(self):
        """The first outcome that is not complete, or else the last."""
        return next((one for one in self.outcomes if not one.complete), self.outcomes[-1])

    @property
    def complete(self):
        return self.worst.complete

    @property
    def equal(self):
        """Whether the table holds what the server has, each value in its column."""
        return self.complete and not (self.faults or self.elsewhere or self.left)


def live_through(api, site):
    """Sync a served API three times.

    Args:
        api: The API.
        site: The destination, with `sync()`, `live` and `deleted`.
    """
    cell = Cell()
    for happens in (lambda: None, api.change, api.settle):
        happens()
        outcome = site.sync()
        cell.outcomes.append(outcome)
        cell.faults += faults(api, site, outcome)
    cell.elsewhere = elsewhere(api, site.live)
    if api.deletes:
        cell.left = sorted(site.live.keys() - api.truth(unlisted=True).keys())
    return cell


def faults(api, site, outcome):
    """What must not be after a sync, whatever the settings are; at most a few of them."""
    live, listed = site.live, api.truth()
    found = [f"the live row {key} is marked deleted" for key in sorted(site.deleted & api.truth(unlisted=True).keys())]
    if outcome.verdict == "more_to_do" or len(api.calls) > api.most_requests:
        found.append(f"{len(api.calls)} requests")
    if outcome.complete:
        found += [f"{key} is not in the destination" for key in sorted(listed.keys() - live.keys())]
        both = sorted(listed.keys() & live.keys())
        found += [f"{key}: {why}" for key in both if (why := unlike(api, live[key], listed[key]))]
    return found[:3]


def unlike(api, loaded, row):
    """What a loaded row has otherwise than the API; empty if only the places of values differ."""
    expected = api.expected(row)
    wrong = {name for name, value in expected.items() if loaded.get(name) != value}
    if not wrong:
        return ""
    if values := sorted(name for name in wrong if loaded.get(name) is not None):
        return ", ".join(f"{name} is {loaded[name]!r} and not {expected[name]!r}" for name in values)
    right = 1 + sum(loaded.get(name) is not None for name in expected)  # the key is a column, too
    lost = set(leaves(api.record(row))) - set(leaves(json.loads(loaded["extra"] or "{}")))
    return f"a value is lost, of {sorted(lost)}" if len(lost) > right else ""


def elsewhere(api, live):
    """Columns that are null although the API has a value for them."""
    found = set()
    for key, row in api.truth().items():
        if key in live:
            found |= {name for name, value in api.expected(row).items() if live[key].get(name) != value}
    return sorted(found)


def leaves(value):
    """The values of a JSON document that are neither objects nor lists, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for one in value for leaf in leaves(one)]
    return [] if value is None else [str(value)]
