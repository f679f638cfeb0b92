"""Write a CSV of usage for `automatum push`: `python -m suite.cases.usage ROWS FILE`; each row becomes a usage line.

The rows are of the customers, entitlements and dimensions that the server lists with `dimensions=25`, two hours ago.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from suite.rows import dimension_price, id_of

DIMENSIONS = 25
"""Dimensions of a customer: as many as fit into one request."""


def main() -> None:
    """Write the file."""
    count, path = int(sys.argv[1]), Path(sys.argv[2])
    moment = f"{datetime.now(timezone.utc) - timedelta(hours=2):%Y-%m-%dT%H:10:00Z}"
    with path.open("w", encoding="utf-8") as file:
        file.write("customer_id,listing_id,vendor,dimension,units,price,usage_at,title,per\n")
        for row in range(count):
            number, at = divmod(row, DIMENSIONS)
            number = number // 2 * 4 + number % 2  # Two of four entitlements are active.
            vendor = "azure" if number % 8 > 4 else "aws"
            file.write(
                f"{id_of('cust', number)},lst_{number % 7:08x},{vendor},dimension_{at},{1 + row % 90}.25,"
                f"{dimension_price(number, at)},{moment},Dimension {at},seat\n"
            )
    # A push waits for the end of a file that was just written.
    before = time.time() - 600
    os.utime(path, (before, before))


if __name__ == "__main__":
    main()
