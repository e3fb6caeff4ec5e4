"""Settings of the Python interpreter: how threads share its lock, and how deep it may recurse."""

import importlib
import sys

# A thread that comes back from a commit or a socket waits so long for one that computes; Python's own 5 ms are longer
# than most of our waits, and a thread that holds SQLite's write lock meanwhile holds up every other process.
SWITCH_SECONDS = 0.0005
RECURSION_LIMIT = 1_000  # Python's own


def share_fairly() -> None:
    """Shorten the switch interval, for processes whose threads mostly wait: the web server and the worker."""
    sys.setswitchinterval(SWITCH_SECONDS)


def bound_recursion() -> None:
    """Keep Python's recursion limit, which py_ecc lifts to 100,000 when it is first imported; for every process.

    What is recursive by its data, JSON's decoder before all, then overflows the stack of some interpreters and ends the
    process instead of raising `RecursionError`. Nothing here verifies BLS signatures, which that limit is for.
    """
    limit = min(sys.getrecursionlimit(), RECURSION_LIMIT)
    importlib.import_module("py_ecc")
    sys.setrecursionlimit(limit)
