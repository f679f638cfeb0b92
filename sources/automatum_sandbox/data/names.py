"""Made-up company and contact names. The legal form of a company decides its currency."""

from __future__ import annotations

from typing import NamedTuple

_STEMS = (
    "Brightwater", "Copperfield", "Greyfriars", "Halvorsen", "Ironbridge", "Juniper Hill", "Kestrel", "Larkspur",
    "Meadowlark", "Norrland", "Oakhaven", "Pinecrest", "Quarrystone", "Redwater", "Silverbirch", "Thornfield",
    "Umbra", "Valemont", "Westerly", "Yarrow", "Alderbrook", "Birchgrove", "Cedarline", "Driftwood",
    "Eastmoor", "Fernhill", "Goldcrest", "Harbourlight", "Inglewood", "Kingsreach", "Lindenhof", "Millrace",
    "Northfold", "Ostermann", "Ploughshare", "Rookery", "Saltmarsh", "Tidewell", "Underhill", "Windrush",
    "Ashcombe",
)  # fmt: skip
_FIELDS = (
    "Analytics", "Logistics", "Robotics", "Health", "Energy", "Foods", "Payments", "Media", "Mobility", "Insurance",
    "Labs", "Retail", "Aerospace", "Learning", "Biotech", "Telecom", "Travel", "Systems", "Instruments", "Security",
    "Finance", "Studios", "Networks",
)  # fmt: skip
_FORMS = (
    ("Inc.", "USD"), ("GmbH", "EUR"), ("LLC", "USD"), ("Ltd", "GBP"), ("Inc.", "USD"), ("B.V.", "EUR"),
    ("Corp.", "USD"), ("Inc.", "USD"), ("Ltd", "GBP"), ("LLC", "USD"), ("AB", "EUR"), ("Inc.", "USD"),
    ("Group", "USD"),
)  # fmt: skip
_FIRST = (
    "anna", "ben", "carla", "david", "elena", "frank", "grace", "hugo", "ines", "james", "katrin", "liam", "maria",
    "noah", "olivia", "paul", "rosa", "sven", "tara", "victor",
)  # fmt: skip
_LAST = (
    "adler", "becker", "clarke", "diaz", "evans", "fischer", "garcia", "hansen", "ivers", "jones", "keller", "lopez",
    "meyer", "novak", "olsen", "parker", "reyes",
)  # fmt: skip


class Company(NamedTuple):
    """A made-up company.

    Attributes:
        name: With legal form; unique by number.
        email: Address of its contact, in the reserved domain `.example`.
        currency: ISO 4217.
    """

    name: str
    email: str
    currency: str


def currency_of(number: int, shift: int) -> str:
    """Currency of a company, see `company`."""
    return _FORMS[(number + shift) % len(_FORMS)][1]


def company(number: int, shift: int) -> Company:
    """The company with a number. The lengths of the lists have no common divisor, so 12,259 names precede a repetition.

    Args:
        number: From 0.
        shift: Which name comes first.
    """
    position = number + shift
    stem, field = _STEMS[position % len(_STEMS)], _FIELDS[position % len(_FIELDS)]
    form, currency = _FORMS[position % len(_FORMS)]
    lap = number // (len(_STEMS) * len(_FIELDS) * len(_FORMS))
    name = f"{stem} {field}{f' {lap + 1}' if lap else ''} {form}"
    domain = f"{stem}-{field}{lap + 1 if lap else ''}".lower().replace(" ", "-")
    return Company(name, f"{_FIRST[position % len(_FIRST)]}.{_LAST[position % len(_LAST)]}@{domain}.example", currency)
