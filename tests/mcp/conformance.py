"""Run the client scenarios of the official conformance suite and print what came of them.

Usage: conformance.py [SCENARIO ...]. Exits 1 when a scenario fails that is not expected to, or
passes that is. Called by .ci/run; `make test` has installed what it needs.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from servers import FOLDER, MISSING, PACKAGES, node  # noqa: E402 - from this folder

EXPECTED_FAILURES = {
    "auth/2025-03-26-oauth-metadata-backcompat": (
        "a sign-in of the superseded revision 2025-03-26 whose server names an issuer that is not "
        "its address; the mcp package refuses that"
    ),
    "auth/cross-app-access-complete-flow": (
        "an extension for companies (token exchange, JWT bearer grant); agentkit passes `auth=` "
        "on and brings no sign-in of its own"
    ),
}

_TOGETHER = 2  # scenarios at once: some of them measure time
_PATIENCE = 60_000  # milliseconds for one


def suite(*words: str) -> str:
    """Run the suite and return what it printed."""
    program = [node(), str(PACKAGES / "conformance" / "dist" / "index.js"), *words]
    done = subprocess.run(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def play(scenario: str) -> tuple[str, bool, str]:
    """Return a scenario, whether it passed, and how many of its checks did."""
    client = shlex.join([sys.executable, str(HERE / "conformance_client.py")])
    words = ("--command", client, "--scenario", scenario, "--timeout", str(_PATIENCE))
    text = suite("client", *words)
    checks = re.search(r"Passed: (\d+/\d+)", text)
    failed = "".join(f"\n    {line}" for line in re.findall(r"^  - (.*)$", text, re.MULTILINE))
    passed = "OVERALL: PASSED" in text
    return scenario, passed, (checks[1] if checks else text[-2000:]) + ("" if passed else failed)


def main(scenarios: list[str]) -> int:
    """Run the scenarios, by default all; returns the exit code."""
    if not FOLDER.is_dir():
        sys.exit(MISSING)
    known = re.findall(r"^  - (\S+)", suite("list", "--client"), re.MULTILINE)
    surprises = 0
    passes = 0
    with ThreadPoolExecutor(_TOGETHER) as pool:
        for scenario, passed, said in pool.map(play, scenarios or known):
            reason = EXPECTED_FAILURES.get(scenario)
            surprise = passed == (reason is not None)
            surprises += surprise
            passes += passed
            mark = "passed" if passed else "FAILED" if surprise else "failed, as expected"
            print(f"{mark:20}{scenario}: {said}", flush=True)
            if reason:
                print(f"{'':20}{reason}")
    print(f"{passes} of {len(scenarios or known)} scenarios passed, {surprises} surprises")
    return 1 if surprises or not known else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
