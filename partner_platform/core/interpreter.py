"""How threads of one process share Python's interpreter lock."""

import sys

# A thread that comes back from a commit or a socket waits so long for one that computes; Python's own 5 ms are longer
# than most of our waits, and a thread that holds SQLite's write lock meanwhile holds up every other process.
SWITCH_SECONDS = 0.0005


def share_fairly() -> None:
    """For processes whose threads mostly wait: the web server and the worker."""
    sys.setswitchinterval(SWITCH_SECONDS)
