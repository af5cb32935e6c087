"""Checks of what `infra/` deploys, run by `make infra-test`: one file a subject, tools from `tools.py`.

They run with the Python of LocalStack's installation, inside `localstack.py run`.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "localstack"))
