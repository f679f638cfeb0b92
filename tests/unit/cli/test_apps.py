"""What the help of `automatum apps` shows can be typed."""

import re

from automatum.cli.apps import apps_app
from automatum.config.vaults.store import parse_vault_address


def test_the_stores_in_the_examples_are_addresses():
    text = " ".join(str(command.epilog) for command in apps_app.registered_commands)
    stores = re.findall(r"--store-in (\S+://\S+)", text)
    assert [parse_vault_address(store, "--store-in").name for store in stores] == ["automatum/api"]
