"""These make environments from the package index, which takes minutes: `make environments`. Elsewhere not collected."""

import os

collect_ignore_glob = [] if "ENVIRONMENTS" in os.environ else ["test_*.py"]
