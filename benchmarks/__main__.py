"""`make bench`: every benchmark, one after the other; exit code 1 where one misses its bound.

`make bench ARGS="audit --entries 100000"` runs the one of that name with its options.
"""

import subprocess
import sys

from benchmarks import analytics, audit, beside, databases, events, parts, reads, refusals, seed, settlement, webhooks

BENCHMARKS = {
    "settlement": settlement.main,
    "audit": audit.main,
    "events": events.main,
    "databases": databases.main,
    "reads": reads.main,
    "seed": seed.main,
    "beside": beside.main,
    "refusals": refusals.main,
    "parts": parts.main,
    "webhooks": webhooks.main,
    "analytics": analytics.main,
}


def main() -> int:
    """The benchmark that the first argument names; without a name all, in a process each: their settings differ."""
    if len(sys.argv) > 1 and sys.argv[1] in BENCHMARKS:
        return BENCHMARKS[sys.argv.pop(1)]()
    if len(sys.argv) > 1:
        print(f"Which benchmark? One of: {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    codes = [subprocess.run([sys.executable, "-m", "benchmarks", name], check=False).returncode for name in BENCHMARKS]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
