"""The Markdown documents of the repository: their blocks of code and their code in sentences."""

import re

from tests.support import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


def blocks(page, *languages):
    """The blocks of code in these languages, without their indentation."""
    found = [(indent, text) for indent, language, text in _BLOCK.findall(TEXTS[page]) if language in languages]
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def spans(page):
    """The code in sentences and tables: what is between single backticks, without line breaks."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", _BLOCK.sub("", TEXTS[page]))]
