"""All benchmarks, one after the other (`make bench`), or those that are named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ALL = ("turns", "streams", "tools", "store", "imports", "search", "sandbox", "page")


def main() -> None:
    """Run the named benchmarks, by default all; go on after one that fails, and say so."""
    names = sys.argv[1:] or ALL
    failed = []
    for name in names:
        print(f"\n== {name}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"These benchmarks did not finish: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
