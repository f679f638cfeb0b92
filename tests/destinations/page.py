"""What `docs/destinations.md` and the suite share: the queries for files, and the table that a run fills."""

import json
import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "destinations.md"
RESULTS = Path(__file__).parent / "results.json"
BEGIN, END = "<!-- filled by make destinations: begin -->", "<!-- filled by make destinations: end -->"


def sql_block(name):
    """The query of the page that is marked `<!-- query: name -->`."""
    found = re.search(rf"<!-- query: {name} -->\s*```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"the page has no query {name}"
    return found.group(1)


def results():
    """Destination to case to `yes` or the reason why not, as of the last run that wrote them."""
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def keep(name, found, order):
    """Write down what a run found out about a destination, and fill the page's table anew."""
    known = results() if RESULTS.exists() else {}
    known[name] = found
    RESULTS.write_text(
        json.dumps({one: known[one] for one in order if one in known}, indent=1, ensure_ascii=False) + "\n",
        encoding="utf-8",
    )
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n\n{table(results())}\n\n{END}{after}", encoding="utf-8")


def table(found):
    """The results as a table, with a note for each reason."""
    cases = list(next(iter(found.values())))
    notes = []
    lines = ["| | " + " | ".join(found) + " |", "|---" * (len(found) + 1) + "|"]
    for case in cases:
        cells = []
        for results_of in found.values():
            answer = results_of.get(case, "not run")
            if answer not in ("yes", "not run"):
                if answer not in notes:
                    notes.append(answer)
                answer = f"no ({notes.index(answer) + 1})"
            cells.append(answer)
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    lines += ["", *(f"({number}) {note}." for number, note in enumerate(notes, 1))]
    return "\n".join(lines)
