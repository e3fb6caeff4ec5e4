"""The faults by number, and the tests that prove each: every function `test_fNN_…` in a file `test_faults_*.py`."""

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
FAULT = re.compile(r"test_f(\d\d)_")

FAULTS = {
    1: "killed before the commit",
    2: "killed after the commit, before the send",
    3: "killed after the send, before the acknowledgement",
    4: "accepted, the answer lost",
    5: "429, 5xx, connection reset",
    6: "nonce too low, and ours was mined",
    7: "receipt null again and again after mining",
    8: "somebody else spent the nonce",
    9: "a node reports a stale lower nonce",
    10: "the request or the task comes twice",
    11: "two workers at once",
    12: "database restored from a backup taken before the send",
    13: "signer unavailable",
    14: "payload refused after its nonce was bound",
    15: "unknown error text",
    16: "wrong chain id",
    17: "dropped from the pool",
    18: "pool wiped",
    19: "sent out of order",
    20: "stuck",
    21: "chain halted",
    22: "base-fee spike evicts it",
    23: "underpriced replacement",
    24: "the old attempt is mined after a bump",
    25: "no gas money",
    26: "full blocks",
    27: "block gas limit cut below the transaction",
    28: "reverts in simulation",
    29: "state changed between send and mine",
    30: "failed, reorged, succeeds on resend",
    31: "success without the expected log or amount",
    32: "transaction out of gas",
    33: "one bad operation among ten",
    34: "the pay-out leg fails",
    35: "the same uid in two transactions",
    36: "receipt gone, not pooled again",
    37: "same bytes in another block",
    38: "a conflicting transaction took the nonce",
    39: "the head falls",
    40: "reverted past confirmation",
    41: "a lagging or forked node",
    42: "cancel against payload",
    43: "a deadline passes after the nonce was bound",
    44: "executor paused or not authorized",
    45: "a node's answer for logs lacks some",
    46: "a reorg while nothing ran, or deeper than is usual",
    47: "one of two endpoints passes nothing on, stands still, is far behind or silent, or claims a head far ahead",
    48: "a wrong count of nonces, or one that a reorg takes back",
    49: "the executor is replaced under way",
    50: "the key is rotated under way",
    51: "two endpoints show an outcome differently",
}


def number_of(test: str) -> int | None:
    """The fault that a test (or its whole node id) is about; None for other tests."""
    found = FAULT.search(test.rpartition("::")[2])
    return int(found[1]) if found else None


def files() -> list[Path]:
    """Where the suite stands."""
    return sorted(TESTS.glob("*/test_faults_*.py"))


def suite() -> dict[int, list[str]]:
    """The names of the tests of each fault, in the order of their files."""
    return {number: [name for names in tests.values() for name in names] for number, tests in suite_by_file().items()}


def suite_by_file() -> dict[int, dict[str, list[str]]]:
    """The tests of each fault by their file, as the project names it; files and tests in their order."""
    found: dict[int, dict[str, list[str]]] = defaultdict(dict)
    for path in files():
        file = path.relative_to(TESTS.parent).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (number := number_of(node.name)) is not None:
                found[number].setdefault(file, []).append(node.name)
    return found
