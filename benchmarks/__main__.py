"""`make bench`: every benchmark, one after the other; exit code 1 where a ratio is missed."""

import sys

from benchmarks import settlement

if __name__ == "__main__":
    sys.exit(settlement.main())
