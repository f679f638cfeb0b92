"""The plan of a push: which lines are sent, which are on hold, and the digest that a person can approve."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ..core.errors import ConfigurationError, PlanDiffers
from ..core.text import plural
from .checks import Checks
from .classify import Classification, classify_by_ledger
from .guards import limit_holds, price_holds, refused_row_holds, source_holds, unusual_holds
from .ledger.holds import Hold
from .ledger.ledger import Ledger
from .ledger.past import by_customers, read_past
from .ledger.plan_reader import Contributions, StoredHolds, contributions, planned_fingerprints, stored_holds
from .ledger.plan_record import PlanRecord, fingerprint
from .ledger.selectors import ALL
from .model import Line
from .refused_rows import RefusedRows
from .rules import last_moment

_DIGEST = re.compile(r"([0-9]{8}T[0-9]{6}Z)-([0-9]+)-([0-9a-f]{16})")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass
class Plan:
    """What a push sends, and what it does not send.

    Attributes:
        digest: The time, the number and a hash of the lines that are sent.
        to_send: Lines of the usage that are sent.
        usage_on_hold: Lines of the usage that are on hold.
        renewed: Ids of lines of the usage that were not new, and are planned again.
        left_over: Lines that are sent though the usage does not contain them; a person has decided so.
        too_late: Planned lines that the usage does not contain, and that are past their deadline.
        on_hold: Why lines are not sent until a person decides. A line may have several reasons.
        released: Holds that this push releases.
        not_in_plan: Lines that are not sent, because the approved plan does not contain them.
        repeated: Lines that were accepted before from another source, with exactly these units.
    """

    digest: str = ""
    to_send: list[Line] = field(default_factory=list)
    usage_on_hold: list[Line] = field(default_factory=list)
    renewed: list[str] = field(default_factory=list)
    left_over: list[Line] = field(default_factory=list)
    too_late: list[Line] = field(default_factory=list)
    on_hold: list[Hold] = field(default_factory=list)
    released: list[Hold] = field(default_factory=list)
    not_in_plan: list[Line] = field(default_factory=list)
    repeated: list[Line] = field(default_factory=list)

    @property
    def sent(self) -> list[Line]:
        """All lines that are sent."""
        return [*self.to_send, *self.left_over]

    @property
    def lines_on_hold(self) -> list[Line]:
        """Each line on hold once."""
        return list({hold.line.id: hold.line for hold in self.on_hold}.values())

    def record(self, checks: Checks, usage: Sequence[Line]) -> PlanRecord:
        """What the ledger keeps of it.

        Args:
            checks: Of the push.
            usage: The lines of the usage that are planned.
        """
        return PlanRecord(
            plan=self.digest,
            sent=self.sent,
            judged=[line.id for line in usage],
            opened=self.on_hold,
            released=self.released,
            by=checks.by,
            source=checks.source,
            contributed=[*usage, *self.repeated],
        )


class Planner:
    """Makes the plan of one push. It changes nothing in the ledger.

    Args:
        ledger: The ledger.
        checks: Of the push.
    """

    def __init__(self, ledger: Ledger, checks: Checks) -> None:
        self._ledger = ledger
        self._checks = checks

    def plan(self, lines: Sequence[Line], found: Classification, now: datetime) -> Plan:
        """Decide about each line of the usage, and each planned line that the usage does not contain.

        Args:
            lines: The lines of the usage.
            found: What was refused; its lists are filled. Lines on hold leave `new` and `again`.
            now: The current time, aware.

        Raises:
            PlanDiffers: The lines are not those of the approved plan.
        """
        refused = RefusedRows(found.refused)
        # An approved plan is compared with what was to be sent at its time.
        as_of = approved_at(self._checks.plan) if self._checks.plan else now
        comparison = self._ledger.compare(lines)
        classify_by_ledger(found, comparison, as_of, self._checks.late_ok)
        planned = {match.line.id for match in comparison.unsettled if match.entry.state == "planned"}
        others = self._planned_before(lines)
        late = {line.id for line in others if as_of >= last_moment(line, self._checks.late_ok)}
        plan = Plan(too_late=[line for line in others if line.id in late])
        others = [line for line in others if line.id not in late]
        stored = stored_holds(self._ledger, [line.id for line in (*found.to_send, *others)])
        source = self._checks.source
        said = contributions(self._ledger, [line.id for line in lines], source) if source else {}
        plan.repeated = [line for line in found.same if line.id in said and source not in said[line.id]]
        self._sort(plan, self._holds_of_usage(found.to_send, refused, planned, said), stored, in_usage=True)
        self._sort(plan, self._holds_of_others(others, refused, stored), stored, in_usage=False)
        usage, plan.renewed = found.to_send, [line.id for line in found.again]
        plan.to_send, plan.left_over = usage, others
        self._drop(plan, {hold.line.id for hold in plan.on_hold})
        self._sort(plan, limit_holds(plan.sent, self._checks), stored, in_usage=True)
        self._drop(plan, {hold.line.id for hold in plan.on_hold})
        on_hold = {hold.line.id for hold in plan.on_hold}
        plan.usage_on_hold = [line for line in usage if line.id in on_hold]
        self._approve(plan)
        if len(plan.to_send) < len(usage):
            kept = {line.id for line in plan.to_send}
            found.new = [line for line in found.new if line.id in kept]
            found.again = [line for line in found.again if line.id in kept]
            found.late = [line for line in found.late if line.id in kept]
        return plan

    def _planned_before(self, lines: Sequence[Line]) -> list[Line]:
        """Planned lines that are none of these, which are those of the usage, in the order of their ids."""
        others = set(self._ledger.reader.line_ids("planned"))
        if others:
            others.difference_update(line.id for line in lines)
        entries = self._ledger.reader.fetch(others)
        return [entries[line_id].line for line_id in sorted(others)]

    def _holds_of_usage(
        self, lines: Sequence[Line], refused: RefusedRows, planned: Collection[str], said: Contributions
    ) -> Iterator[Hold]:
        checks = self._checks
        if not checks.send_partial:
            yield from refused_row_holds(lines, refused)
        if checks.prices:
            yield from price_holds(lines, checks.eligibility)
        if checks.unusual_factor:
            for batch in by_customers(lines) if self._ledger.exists else ():
                yield from unusual_holds(batch, read_past(self._ledger, batch), checks.unusual_factor)
        yield from source_holds(lines, planned, said, checks.source)

    def _holds_of_others(self, lines: Sequence[Line], refused: RefusedRows, stored: StoredHolds) -> Iterator[Hold]:
        """Holds of lines that an earlier push planned, and that the usage does not contain."""
        # No usage contains a line that is carried from another: a person has decided about it.
        yield from refused_row_holds([line for line in lines if line.carried_from is None], refused)
        for line in lines:
            if line.carried_from is None:
                yield Hold(line, "not_in_usage", "an earlier push planned it, and this usage does not contain it")
            if problem := self._checks.eligibility.problem(line):
                yield Hold(line, "not_eligible", problem)
            # What an earlier push found cannot be judged anew without the usage.
            yield from (Hold(line, kind, reason) for kind, reason in stored.open.get(line.id, {}).items())

    def _sort(self, plan: Plan, holds: Iterable[Hold], stored: StoredHolds, *, in_usage: bool) -> None:
        """Put holds into `on_hold` or, if they are released now, into `released`; leave out those released before."""
        allow = self._checks.allow
        seen = set()
        for hold in holds:
            if (hold.line.id, hold.kind) in seen:
                continue
            seen.add((hold.line.id, hold.kind))
            if (hold.line.id, hold.kind, hold.line.payload_hash) in stored.released:
                continue
            released = hold.line.id in allow or (ALL in allow and in_usage)
            (plan.released if released else plan.on_hold).append(hold)

    def _drop(self, plan: Plan, ids: Collection[str]) -> None:
        if not ids:
            return
        plan.to_send = [line for line in plan.to_send if line.id not in ids]
        plan.left_over = [line for line in plan.left_over if line.id not in ids]

    def _approve(self, plan: Plan) -> None:
        """Give the plan its digest; leave only the lines of the approved plan if there is one."""
        approved, as_of = self._checks.plan, self._checks.as_of
        if approved is None:
            assert as_of is not None
            plan.digest = digest_of(as_of, plan.sent)
            return
        plan.digest = approved
        known = planned_fingerprints(self._ledger, approved)
        if not known:
            if digest_of(approved_at(approved), plan.sent) != approved:
                raise _differs(approved, len(plan.sent))
            return
        # The plan was begun before: go on with what is left of it.
        plan.not_in_plan = [line for line in plan.sent if known.get(line.id) != fingerprint(line)]
        changed = [line for line in plan.not_in_plan if line.id in known]
        if changed:
            raise PlanDiffers(
                f"{plural(len(changed), 'line')} of the approved plan {approved} have changed since. Nothing is sent.",
                "Make a new dry run, and have its digest approved.",
            )
        self._drop(plan, {line.id for line in plan.not_in_plan})


def digest_of(as_of: datetime, lines: Iterable[Line]) -> str:
    """The digest of lines: the time, their number, and a hash of their keys, units, prices and texts."""
    # As bytes, which are in the same order as the texts, and take half of their memory.
    prints = sorted(bytes.fromhex(fingerprint(line)) for line in lines)
    digest = hashlib.sha256()
    for number, print_hash in enumerate(prints):
        digest.update((("\n" if number else "") + print_hash.hex()).encode())
    return f"{as_of:{_TIME}}-{len(prints)}-{digest.hexdigest()[:16]}"


def approved_at(digest: str) -> datetime:
    """The time of a digest.

    Raises:
        ConfigurationError: It is no digest.
    """
    match = _DIGEST.fullmatch(digest)
    try:
        return datetime.strptime(match[1] if match else "", _TIME).replace(tzinfo=timezone.utc)
    except ValueError:
        raise ConfigurationError(
            "--plan", f"{digest!r} is not the digest of a plan.", "A dry run prints the digest."
        ) from None


def _differs(approved: str, number: int) -> PlanDiffers:
    match = _DIGEST.fullmatch(approved)
    assert match is not None
    count = int(match[2])
    now = f"it would send {plural(number, 'line')} now" if number != count else "units, prices or lines have changed"
    return PlanDiffers(
        f"The usage, the ledger or the options differ from the approved plan of {plural(count, 'line')}: {now}. "
        "Nothing is sent.",
        "Make a new dry run with the same options, and have its digest approved.",
    )
