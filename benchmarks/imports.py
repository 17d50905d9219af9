"""CPU of `import agentkit` beside its main packages alone, each in a process of its own.

python -m benchmarks.imports [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from importlib.metadata import requires
from importlib.metadata import version as installed

CASES = {
    "python alone": "pass",
    "httpx, pydantic, structlog": "import httpx, pydantic, structlog",
    "with orjson, sqlite3": "import httpx, pydantic, orjson, structlog, sqlite3",
    "agentkit": "import agentkit",
}


def cpu(program: str) -> float:
    """Return the CPU ms that a program takes in a fresh interpreter."""
    program += "\nimport time\nprint(time.process_time())"
    command = [sys.executable, "-c", program]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(out) * 1000


def distributions(name: str = "agentkit-glm") -> int:
    """Return how many distributions the base install brings, agentkit itself left out."""
    from importlib.metadata import PackageNotFoundError

    from packaging.requirements import Requirement

    found: set[str] = set()
    pending = [name]
    while pending:
        for text in requires(pending.pop()) or ():
            need = Requirement(text)
            if need.marker is not None and not need.marker.evaluate({"extra": ""}):
                continue
            key = need.name.lower().replace("_", "-")
            try:
                installed(key)
            except PackageNotFoundError:
                continue
            if key not in found:
                found.add(key)
                pending.append(key)
    return len(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    rounds = parser.parse_args().rounds
    times = {name: [] for name in CASES}
    for _ in range(rounds):  # by turns, so that a busy moment hits all alike
        for name, program in CASES.items():
            times[name].append(cpu(program))
    base = statistics.median(times["httpx, pydantic, structlog"])
    print("CPU ms of an import: minimum, median, ratio to httpx + pydantic + structlog")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"{name:<28} {min(values):>6.0f} {median:>6.0f} {median / base:>6.2f}")
    print(f"distributions in the base install: {distributions()} (goal 28)")


if __name__ == "__main__":
    main()
