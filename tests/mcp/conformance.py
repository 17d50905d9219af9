"""Run the client scenarios of the official conformance suite and print what came of them.

Usage: conformance.py [--suite NAME]. Exits 1 when a scenario fails that is not expected to, or
passes that is. Called by .ci/run; `make test` has installed what it needs.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from servers import FOLDER, MISSING, PACKAGES, node  # noqa: E402 - from this folder

# All scenarios start at once, each with a client of its own, on however few cores.
_PATIENCE = 180_000  # milliseconds


def main(arguments: list[str]) -> int:
    """Run the suite; returns its exit code."""
    if not FOLDER.is_dir():
        sys.exit(MISSING)
    client = shlex.join([sys.executable, str(HERE / "conformance_client.py")])
    suite = [node(), str(PACKAGES / "conformance" / "dist" / "index.js"), "client"]
    baseline = ["--expected-failures", str(HERE / "expected_failures.yaml")]
    done = subprocess.run(
        [*suite, "--command", client, "--timeout", str(_PATIENCE), *baseline]
        + (arguments or ["--suite", "all"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    _, found, summary = done.stdout.partition("=== SUITE SUMMARY ===")
    print(summary.strip() if found else done.stdout[-4000:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
