"""`make faults`: the whole suite, its table, once or many times: `python -m tests.faults --times 10`.

Each round is a process of its own with servers of its own. The exit code is 1 where a single test of a single round
failed; no test is run again.
"""

import argparse
import subprocess
import sys
import time

from tests.faults.catalog import TESTS, files


def main() -> int:
    """Run the rounds; answers the exit code."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--times", type=int, default=1, help="how many rounds, one after the other")
    parser.add_argument("arguments", nargs="*", help="for pytest: -k f12")
    options, more = parser.parse_known_args()
    failed = []
    for number in range(1, options.times + 1):
        started = time.monotonic()
        code = _run([*options.arguments, *more])
        print(f"round {number} of {options.times}: {'passed' if code == 0 else 'FAILED'}", end=" ")
        print(f"in {time.monotonic() - started:.0f} s", flush=True)
        failed += [number] if code else []
    if failed:
        print(f"failed rounds: {failed}")
    return 1 if failed else 0


def _run(arguments: list[str]) -> int:
    suite = [str(path.relative_to(TESTS.parent)) for path in files()]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.faults.plugin", *suite, *arguments]
    return subprocess.run(command, cwd=TESTS.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
