"""What `docs/destinations.md` and the suite share: the table that a run fills."""

import json
from pathlib import Path

from tests.support import ROOT

PAGE = ROOT / "docs" / "destinations.md"
RESULTS = Path(__file__).parent / "results.json"


def results():
    """Of the last runs that wrote them: `tested` by destination and case, `generated` by warehouse and column."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def keep(part, name, found, order):
    """Write down what a run found out, and fill the page's tables anew."""
    known = results()
    known[part][name] = found
    known[part] = {one: known[part][one] for one in order if one in known[part]}
    RESULTS.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), known), encoding="utf-8")


def filled(text, known):
    """The page with these results in its tables."""
    for part, table in (("tested", tested_table), ("generated", generated_table)):
        begin, end = f"<!-- {part}: filled by make destinations -->", f"<!-- {part}: end -->"
        before, rest = text.split(begin)
        rows = table(known[part]) if known[part] else ""
        text = f"{before}{begin}\n\n{rows}\n\n{end}{rest.split(end)[1]}"
    return text


def tested_table(found):
    """Destinations, and the cases that all of them pass."""
    return f"{', '.join(found)}: {'; '.join(next(iter(found.values())))}."


def generated_table(found):
    """Warehouses by what dlt would write for them."""
    names = list(next(iter(found.values())))
    lines = ["| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(row.values()) + " |" for name, row in found.items())])
