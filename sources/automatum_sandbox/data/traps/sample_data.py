"""Sample values of generated rows: names in several scripts, and amounts in forms that break naive readers."""

from __future__ import annotations

import random

COMPANIES = (
    "Northwind Analytics",
    "Müller & Söhne GmbH",
    "Société Générale d'Études",
    "Łódź Systemy Sp. z o.o.",
    "Ångström Data AB",
    "Ñandú Software S.A.",
    "Θεσσαλονίκη Λογισμικό",
    "Яндар Технологии",
    "Українська Хмара",
    "شركة السحاب للبرمجيات",
    "מערכות ענן בע״מ",
    "मेघ डेटा प्राइवेट लिमिटेड",
    "株式会社クラウド",
    "云海数据有限公司",
    "한빛클라우드 주식회사",
    "Rocket 🚀 Metrics",
    "Quote \"Inside\", Comma & 'Tick'",
    "Back\\slash <Tag> Ltd",
    "Zoe\u0308 Combining Inc",
    "Trailing Space ",
)
PEOPLE = ("zoe", "müller", "anna.k", "o'brien", "buyer+aws", "finance", "it-ops", "李雷", "иван", "dana")
PRODUCTS = (
    "Observability Suite",
    "Datenpumpe für Ärzte",
    "Ασφάλεια Pro",
    "数据平台",
    "Mail 📬 Guard",
    "Cost Lens",
    "Auth Box",
)
PLANS = ("starter", "team", "enterprise", "annual-commit")
UNITS = ("request", "GB", "seat", "hour")
CURRENCIES = ("USD", "USD", "USD", "EUR", "JPY", "KWD")
INDUSTRIES = ("Software", "Gesundheit", "金融", None)

# Edge cases: no exact float, more digits than a float holds, smaller than a cent, zero, a number as text.
_AMOUNTS: tuple[float | int | str, ...] = (
    0.1,
    1234567.89,
    "0.000000001",
    1234567890123456789,
    "9007199254740993.01",
    0,
    "0.30",
    "1e3",
    0.07,
)


def money(rng: random.Random, index: int) -> float | int | str | None:
    """An amount as the API might write it: number or text, sometimes null."""
    if index % 13 == 3:
        return _AMOUNTS[(index // 13) % len(_AMOUNTS)]
    amount = rng.randrange(100, 5_000_000)
    choice = amount % 10
    if choice == 0:
        return None
    if choice < 4:
        return f"{amount // 100}.{amount % 100:02d}"
    return amount // 100 if choice == 4 else amount / 100
