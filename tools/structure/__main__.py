"""`python -m tools.structure [--update]`: the findings, one a line, and status 1 where there are any.

`--update` first takes out of rules.toml what the code no longer needs: known findings that are gone, and a bound on
`Any` above the count. It never adds anything.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.structure.callers import uncalled
from tools.structure.cycles import import_cycles
from tools.structure.rules import RULES, Rules, read_rules, tightened
from tools.structure.sizes import any_count, any_finding, too_large
from tools.structure.sources import read_sources
from tools.structure.twins import twins

PROJECT = Path(__file__).resolve().parents[2]
# Beside the Python code, these may name symbols.
TEXTS = ("Makefile", "Dockerfile", "docker-compose.yml", "pyproject.toml", ".ci/run", "tools/check-deploy")


def find_problems(root: Path, rules: Rules) -> list[str]:
    sources = read_sources(root)
    texts = [path.read_text() for path in _texts(root)]
    return [
        *too_large(sources, rules),
        *any_finding(sources, rules),
        *import_cycles(root),
        *twins(sources, rules),
        *uncalled(sources, texts, rules),
    ]


def unexpected(found: list[str], known: list[str]) -> list[str]:
    """Findings that are not known, and known ones that are gone."""
    keys = {finding.partition(":")[0] for finding in found}
    return [
        *(finding for finding in found if finding.partition(":")[0] not in known),
        *(f"known finding {key}: it is gone; remove it from rules.toml" for key in known if key not in keys),
    ]


def main(arguments: Sequence[str]) -> int:
    rules = read_rules()
    if "--update" in arguments:
        gone = set(rules.known) - {finding.partition(":")[0] for finding in find_problems(PROJECT, rules)}
        count = sum(map(any_count, read_sources(PROJECT)))
        RULES.write_text(tightened(RULES.read_text(), gone, count))
        rules = read_rules()
    problems = unexpected(find_problems(PROJECT, rules), rules.known)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    sys.stdout.write(f"Structure: {len(problems)} to mend, {len(rules.known)} known\n")
    return 1 if problems else 0


def _texts(root: Path) -> Iterator[Path]:
    yield from (root / name for name in TEXTS if (root / name).exists())
    yield from sorted(root.glob("templates/**/*.html"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
