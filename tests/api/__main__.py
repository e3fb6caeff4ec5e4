"""`make api-check`: the schema tried with many examples, the permission matrix, the secrets test; one line at the end.

The line counts what was tried; the exit code is pytest's.
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
SUITE = [str(HERE), str(HERE.parent / "staff"), str(HERE.parent / "test_secrets.py")]


class Line:
    """A plugin that remembers what was counted and how the tests ended."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        from tests.conftest import COUNTS  # not before pytest has set Django up

        ends = {end: len(terminalreporter.stats.get(end, [])) for end in ("passed", "failed", "error", "skipped")}
        self.counts.update({f"tests {end}": number for end, number in ends.items() if number or end == "passed"})
        counted: Counter[str] = config.stash[COUNTS]
        self.counts.update(counted)

    def text(self, code: int) -> str:
        """`api-check passed: 1148 permission cells, …`"""
        told = ", ".join(f"{number} {what}" for what, number in sorted(self.counts.items()))
        return f"api-check {'passed' if code == 0 else 'FAILED'}: {told}\n"


def main(arguments: list[str]) -> int:
    """Run the suite; answers the exit code."""
    line = Line()
    code = int(pytest.main(["-q", *SUITE, *arguments], plugins=[line]))
    sys.stdout.write(line.text(code))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
