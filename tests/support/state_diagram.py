"""The state diagram of `docs/metering.md`, drawn from the transitions in the code."""

from collections import defaultdict

from automatum.metering.ledger.states import Transition

FIRST = ("planned", "expired")
"""States in which a line enters the ledger."""


def state_diagram():
    """The transitions as a Mermaid diagram; one arrow for each pair of states."""
    labels = defaultdict(list)
    for transition in Transition:
        for before in transition.before:
            labels[before, transition.after].append(transition.label)
    lines = ["stateDiagram-v2", *(f"    [*] --> {state}" for state in FIRST)]
    lines += [f"    {before} --> {after}: {' / '.join(names)}" for (before, after), names in labels.items()]
    return "\n".join(lines)
