"""I5 by a model: pushes, kills, lost answers, events, people, and moves of the ledger, in any order.

Each usage is billed at most once, and what is not billed, or not known to be, is listed.
"""

import os
import tempfile
from contextlib import suppress
from datetime import timedelta

import pytest
from automatum.metering.ledger.decision_log import NOBODY, Author
from automatum.metering.ledger.decisions import undo
from automatum.metering.ledger.plan_reader import lines_on_hold
from automatum.metering.ledger.planned import keep
from automatum.metering.ledger.reconcile import TRANSITIONS, resolve_by_events, resolve_by_hand
from automatum.metering.ledger.refusals import dismiss, open_refusals
from automatum.metering.ledger.states import TAKEN, UNRESOLVED
from automatum.metering.ledger_status import read_status
from automatum.metering.retry import plan_retry, retry
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from automatum.core.clock import utc
from automatum.core.errors import AutomatumError, ConfigurationError
from automatum.metering.checks import NO_CHECKS
from automatum.metering.ledger.identity import Owner
from automatum.metering.ledger.ledger import Ledger
from automatum.metering.ledger.transfer import move_ledger
from tests.support.billing_model import NOT_TAKEN, Marketplace, MortalClock
from tests.support.billing_model import TAKEN as TAKEN_ANSWERS
from tests.support.pushing import NOON, Books

STEPS = int(os.environ.get("MODEL_STEPS", "25"))
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "15"))
OWNER = Owner("api.example.com")
KEYS = [(customer, f"d{number}") for customer in ("cust_1", "cust_2") for number in range(3)]
keys = st.sampled_from(KEYS)
answers = st.lists(st.sampled_from([*TAKEN_ANSWERS, *NOT_TAKEN]), max_size=4)


class Billing(RuleBasedStateMachine):
    """A vendor with two customers, who pushes all usage of the last hours again and again.

    Each dimension is used in one hour only, so that the marketplace, which learns a date and no hour, knows the line.
    """

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.server = Marketplace()
        self.server.__enter__()
        self.books = Books(self.server.url, self.folder.name)
        self.books.clock = MortalClock(NOON.timestamp())
        self.usage, self.broken, self.pushed, self.old = {}, set(), set(), []
        self.number = 0

    def teardown(self):
        self.server.__exit__(None, None, None)
        self.folder.cleanup()

    @initialize()
    def begin(self):
        Ledger.open(self.books.url, self.books.clock, create=True, owner=OWNER).close()

    # What happens

    @rule(key=keys)
    def use(self, key):
        """Usage of the last closed hour, with units that no other line has; or more usage of the same hour."""
        self.number += 1
        at, _ = self.usage.get(key, (utc(self.books.clock.time()) - timedelta(hours=1), None))
        self.usage[key] = (at, self.number)

    @rule(key=keys)
    def break_row(self, key):
        """A row becomes unreadable, or readable again."""
        self.broken ^= {key}

    @precondition(lambda self: self.usage)
    @rule(answers=answers)
    def push(self, answers):
        self.server.answers.extend(answers)
        self._push()
        self.server.answers.clear()

    @precondition(lambda self: self.usage)
    @rule(answers=answers, readings=st.integers(1, 60))
    def push_and_die(self, answers, readings):
        self.server.answers.extend(answers)
        self.books.clock.left = readings
        with suppress(KeyboardInterrupt):
            self._push()
        self.books.clock.left = None
        self.server.answers.clear()

    @rule(minutes=st.sampled_from([31, 60, 300]))
    def wait(self, minutes):
        self.books.clock.advance(minutes * 60)

    @precondition(lambda self: any(call.verdict is None for call in self.server.calls))
    @rule(verdict=st.sampled_from(["confirmed", "confirmed", "failed"]), data=st.data())
    def judge(self, verdict, data):
        self.server.judge(data.draw(st.sampled_from([one for one in self.server.calls if not one.verdict])), verdict)

    @rule()
    def deliver_events(self):
        with self.open() as ledger:
            self._recover(ledger)
            resolve_by_events(ledger, self.server.events)

    @rule()
    def decide(self):
        """A person looks into the books of the marketplace, and decides by what they say."""
        with self.open() as ledger:
            self._recover(ledger)
            billed = self.server.billed()
            for state, taken, lost in (("unknown", "accepted", "not_sent"), ("conflict", "accepted", "rejected")):
                for entry in list(ledger.reader.lines([state])):
                    decision = taken if billed[entry.customer_id, entry.dimension] else lost
                    resolve_by_hand(ledger, **{decision: [entry.line_id]}, by="ann")

    @rule(decision=st.sampled_from(sorted(TRANSITIONS)))
    def err_and_undo(self, decision):
        """A person decides without a look, and takes it back before anything is sent."""
        with self.open() as ledger:
            before = list(ledger.reader.lines())
            ids = [one.line_id for one in before if one.state in TRANSITIONS[decision].before]
            resolve_by_hand(ledger, **{decision: ids}, by="bob")
            assert undo(ledger, ids, Author("bob", "mistake")).refused == ()
            assert list(ledger.reader.lines()) == before

    @rule(answers=answers)
    def retry_what_is_not_billed(self, answers):
        with self.open() as ledger:
            billed = self.server.billed()
            ids = [
                one.line_id for one in ledger.reader.lines(["rejected"]) if not billed[one.customer_id, one.dimension]
            ]
            session = self.books.connect()
            plan = plan_retry(ledger, ids, utc(self.books.clock.time()))
            self.server.answers.extend(answers)
            with suppress(AutomatumError):
                retry(session, ledger, plan, NOBODY, NO_CHECKS)
            self.server.answers.clear()

    @rule()
    def keep_what_is_on_hold(self):
        with self.open() as ledger:
            keep(ledger, [entry.line_id for entry, _ in lines_on_hold(ledger)])

    @rule()
    def dismiss_refusals(self):
        with self.open() as ledger:
            dismiss(ledger, [one.refusal_id for one in open_refusals(ledger)], NOBODY)

    @rule()
    def move(self):
        target = f"sqlite:///{self.folder.name}/moved-{len(self.old)}.sqlite"
        with self.open() as ledger:
            self._recover(ledger)
            move_ledger(ledger, target, self.books.clock, OWNER)
        self.old.append(self.books.url)
        self.books.url = target

    @precondition(lambda self: self.old and self.usage)
    @rule()
    def push_to_the_old_place(self):
        here, taken = self.books.url, len(self.server.calls)
        self.books.url = self.old[-1]
        with pytest.raises(ConfigurationError):
            self._push()
        self.books.url = here
        assert len(self.server.calls) == taken

    # What must hold

    @invariant()
    def nothing_is_billed_twice(self):
        assert set(self.server.billed().values()) <= {1}

    @invariant()
    def nothing_is_silently_unbilled(self):
        with self.open() as ledger:
            entries = {(entry.customer_id, entry.dimension): entry for entry in ledger.reader.lines()}
            refused = {(one.customer_id, one.dimension) for one in open_refusals(ledger)}
            listed = read_status(ledger, utc(self.books.clock.time()))
        billed, failed = self.server.billed(), self.server.failed()
        at_risk = {entry.line_id for body in listed.bodies for entry in body.entries}
        for key, entry in entries.items():
            if entry.state in TAKEN:
                # The marketplace may have refused it since, and the event may be on its way.
                assert billed[key] or key in failed, (key, entry.state)
            elif entry.state in UNRESOLVED:
                assert entry.line_id in at_risk, (key, entry.state)
            if entry.state in ("planned", "expired", "rejected"):
                assert not billed[key], (key, entry.state)
        assert self.pushed <= set(entries) | refused | self.broken
        amounts = sum((sum(risk.amounts.values()) for risk in listed.risks), 0)
        assert amounts == sum(entry.charged for body in listed.bodies for entry in body.entries)

    def open(self):
        return Ledger.open(self.books.url, self.books.clock, create=False, owner=OWNER)

    def _push(self):
        rows = [self._row(key) for key in self.usage]
        self.books.push(rows, owner=OWNER)
        self.pushed |= set(self.usage)

    def _row(self, key):
        at, units = self.usage[key]
        customer, dimension = key
        row = {"customer_id": customer, "listing_id": "lst_1", "vendor": "aws", "dimension": dimension, "price": "0.5"}
        return row | {"units": "abc" if key in self.broken else str(units), "usage_at": at.isoformat()}

    def _recover(self, ledger):
        with ledger.run() as run:
            run.recover()


@pytest.mark.slow
def test_i5_each_usage_is_billed_once_or_listed():
    """Longer: MODEL_STEPS=60 MODEL_EXAMPLES=300."""
    run_state_machine_as_test(
        Billing,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            # A failure is printed as it was found: to make it smaller takes minutes.
            phases=[Phase.generate],
            derandomize="MODEL_EXAMPLES" not in os.environ,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
