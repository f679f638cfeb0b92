"""Each package that users install, extras included, has a licence that goes with Apache-2.0."""

import re
from importlib import metadata

from packaging.requirements import Requirement

ROOT_PACKAGE = "dlt-source-automatum"
FINE = re.compile(
    r"\b(MIT(-0|-CMU)?|(0|2-Clause-|3-Clause-)?BSD(-[23]-Clause)?|0BSD|Apache|ISC|PSF|Python Software Foundation|MPL|"
    r"Mozilla|Zlib|CC0|Unlicense|HPND|AFL|CNRI-Python)\b"
)
"""Permissive licences, and MPL, which asks only for changes of its own files."""
LIBRARIES = {"psycopg2-binary": "LGPL: used as a library that users can replace"}


def installed(name, extras):
    """The distributions that a package and its extras require, itself apart; absent ones are for other platforms."""
    found = {}
    waiting = [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        try:
            one = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        for text in one.requires or ():
            wanted = Requirement(text)
            marker = wanted.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                continue
            key = re.sub(r"[-_.]+", "-", wanted.name).lower(), frozenset(wanted.extras)
            if key not in found:
                found[key] = None
                waiting.append((wanted.name, wanted.extras))
    return sorted({name for name, _ in found} - {ROOT_PACKAGE})


def licence(name):
    about = metadata.distribution(name).metadata
    classifiers = [one for one in about.get_all("Classifier") or () if one.startswith("License ::")]
    return about.get("License-Expression") or "; ".join(classifiers) or (about.get("License") or "")[:100]


def test_licences_go_with_ours():
    extras = metadata.metadata(ROOT_PACKAGE).get_all("Provides-Extra")
    names = []
    for name in installed(ROOT_PACKAGE, extras):
        try:
            text = licence(name)
        except metadata.PackageNotFoundError:
            continue
        names.append(name)
        assert name in LIBRARIES or FINE.search(text), f"{name}: {text or 'no licence named'}"
        choices = re.split(r"\bOR\b", text)
        strict = [one for one in choices if re.search(r"\b(A?GPL|SSPL|BUSL|Proprietary|GNU General)", one)]
        assert name in LIBRARIES or len(strict) < len(choices), f"{name}: {text}"
    assert len(names) > 40
    assert set(LIBRARIES) <= set(names)
