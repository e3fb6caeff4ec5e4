"""Which tests run which line, and how long each takes: seen in a run of all tests, remembered until one changes."""

import ast
import hashlib
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from coverage import CoverageData

from tools.mutations.choice import Bond, Candidate, bond, choose
from tools.mutations.mutants import Mutant
from tools.mutations.nursery import Nursery, Run

# Tests that watch other processes see no line of them; these start whole systems, or look at the form of the API.
NO_JUDGES = ("tests/crash", "tests/journeys", "tests/sandbox", "tests/mutations", "tests/api")
# Beside those that coverage shows: what a field is, the migrations know.
ALSO = dict.fromkeys(("chain/models/settlement.py", "chain/models/events.py"), "tests/core/test_migrations.py")
MEASURED = ("chain", "loans", "partners")
BUDGET_SECONDS = 60.0  # of undisturbed tests for one mutant
PATIENCE = 3  # a mutant whose tests take so many times as long as undisturbed hangs
HOUR = 3_600.0
MOST_BROKEN = 20  # tests that fail undisturbed; where more do, something is missing here and nothing would be shown
_IS_TEST = re.compile(r"^tests/.*/test_\w+\.py$|^tests/test_\w+\.py$")
_NO_CODE = ("tools/mutations/", "docs/", "benchmarks/")
_NOTHING_SELECTED = 5

Lines = dict[int, list[int]]


@dataclass
class Suite:
    """`lines` by file and line: the tests (by their place in `tests`) that run it, beyond importing it.

    `code` stands for all but the files of tests, `files` has a digest of each of those.
    """

    code: str
    files: dict[str, str]
    tests: list[str]
    seconds: list[float]
    lines: dict[str, Lines]
    broken: list[str]

    def mark(self, tests: Iterable[str]) -> str:
        """Changes where these tests, or anything but tests, did."""
        used = [f"{test} {self.files[_file(test)]}" for test in tests]
        return _digest("\n".join([self.code, *used]).encode())

    def judges(self, mutant: Mutant, project: Path) -> tuple[list[str], int]:
        """The tests that can notice it, in the order to run them; and how many more there are beyond the budget."""
        reach = _Reach((project / mutant.file).read_text(), mutant.span[0][0])
        found = self._on(mutant.file, reach.lines) | self._mentioning(reach.names)
        found |= {place for test, place in self._places.items() if _file(test) == ALSO.get(mutant.file)}
        if reach.is_import or not found:
            found |= self._about(mutant, project)
        found = found or self._on(mutant.file, self.lines.get(mutant.file, {}))
        chosen = choose((self._candidate(index, mutant, project) for index in found), BUDGET_SECONDS)
        return chosen, len(found) - len(chosen)

    def seconds_of(self, tests: Iterable[str]) -> float:
        """What these tests take undisturbed."""
        return sum(self.seconds[self._places[test]] for test in tests)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {test: place for place, test in enumerate(self.tests)}

    def _on(self, file: str, numbers: Iterable[int]) -> set[int]:
        lines = self.lines.get(file, {})
        return {test for number in numbers for test in lines.get(number, ())}

    def _mentioning(self, names: Iterable[str]) -> set[int]:
        found: set[int] = set()
        for name in names:
            word = re.compile(rf"\b{name}\b")
            for file, text in self._texts.items():
                numbers = [number for number, line in enumerate(text, 1) if word.search(line)]
                found |= self._on(file, numbers)
        return found

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return {file: Path(file).read_text().splitlines() for file in self.lines}

    def _about(self, mutant: Mutant, project: Path) -> set[int]:
        """The tests whose file imports the module: what runs on import or at the start, coverage shows of none."""
        close = {file for file in self.files if _bond(project / file, mutant) != Bond.NONE}
        return {place for test, place in self._places.items() if _file(test) in close}

    def _candidate(self, index: int, mutant: Mutant, project: Path) -> Candidate:
        file = _file(self.tests[index])
        close = Bond.MEANT if file == ALSO.get(mutant.file) else _bond(project / file, mutant)
        lines = frozenset(number for number, tests in self._sets[mutant.file].items() if index in tests)
        return Candidate(self.tests[index], self._duration(index), close, lines, self._sizes[index])

    @cached_property
    def _sets(self) -> defaultdict[str, dict[int, set[int]]]:
        found: defaultdict[str, dict[int, set[int]]] = defaultdict(dict)
        for file, lines in self.lines.items():
            found[file] = {number: set(tests) for number, tests in lines.items()}
        return found

    @cached_property
    def _sizes(self) -> Counter[int]:
        """How many lines each test runs in all."""
        return Counter(index for lines in self.lines.values() for tests in lines.values() for index in tests)

    def _duration(self, index: int) -> float:
        return self.seconds[index]


class _Reach:
    """What runs where a change is: `lines` of a statement, or `names` where the statement runs on import only."""

    def __init__(self, source: str, line: int) -> None:
        path = list(_path(ast.parse(source), line))
        *owners, statement = path
        functions = [node for node in owners if isinstance(node, ast.FunctionDef)]
        self.is_import = not functions
        self.names: list[str] = []
        self.lines: range = range(0)
        if functions:
            self.lines = _header(statement)
        elif isinstance(statement, ast.FunctionDef):  # its decorators, its defaults
            self.lines = range(statement.body[0].lineno, (statement.end_lineno or 0) + 1)
        else:
            self.names = list(_names(statement))
        if self.names and owners and isinstance(owners[-1], ast.ClassDef):
            self.lines = range(owners[-1].lineno, (owners[-1].end_lineno or 0) + 1)


def _path(node: ast.AST, line: int) -> Iterator[ast.stmt]:
    """The statements around a line, the innermost last."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            first = min([child.lineno, *(decorator.lineno for decorator in getattr(child, "decorator_list", []))])
            if first <= line <= (child.end_lineno or child.lineno):
                yield child
                yield from _path(child, line)
        else:
            yield from _path(child, line)


def _header(statement: ast.stmt) -> range:
    """A statement's own lines, without those of the statements in it."""
    inner: list[Any] = getattr(statement, "body", []) or []
    last = max(statement.lineno, inner[0].lineno - 1) if inner else (statement.end_lineno or statement.lineno)
    return range(statement.lineno, last + 1)


def _names(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.ClassDef):
        yield statement.name
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name)) if target else ()


def up_to_date(nurseries: list[Nursery], path: Path, project: Path, tracked: Iterable[str]) -> Suite:
    """What is remembered in `path`, where files of tests have changed since seen anew for those."""
    seen = [
        file
        for file in sorted(tracked)
        if file.endswith((".py", ".json", ".toml")) and not file.startswith((*NO_JUDGES, *_NO_CODE))
    ]
    tests = {file: _digest((project / file).read_bytes()) for file in seen if _IS_TEST.search(file)}
    code = _digest(
        "\n".join(file + _digest((project / file).read_bytes()) for file in seen if file not in tests).encode()
    )
    last = _load(path) or Suite("", {}, [], [], {}, [])
    known = last if last.code == code else Suite(code, {}, [], [], {}, [])
    changed = sorted(file for file, digest in tests.items() if known.files.get(file) != digest)
    if changed or known.files.keys() - tests.keys():
        observed = _observe(nurseries, path.with_suffix(".coverage"), changed, last) if changed else None
        known = _merge(known, tests, changed, observed)
        path.write_text(json.dumps(asdict(known)))
    return known


@dataclass
class _Observed:
    seconds: dict[str, float]
    ran: defaultdict[str, defaultdict[int, set[str]]]
    broken: set[str]


def _observe(nurseries: list[Nursery], data: Path, files: list[str], known: Suite) -> _Observed:
    """Run the tests of these files under coverage, in each nursery a share of them.

    The times are those under coverage: half as long again as without, for each test alike.
    """
    print(f"==> {len(files)} files of tests, to see which lines each test runs", flush=True)
    shares = _shares(files, len(nurseries), known)
    with ThreadPoolExecutor(len(nurseries)) as pool:
        numbers = range(len(nurseries))
        runs = list(pool.map(lambda n: _cover(nurseries[n], data.with_suffix(f".{n}"), shares[n]), numbers))
    seen = _Observed({}, defaultdict(lambda: defaultdict(set)), set())
    for number, run in enumerate(runs):
        _require_sound(run)
        seen.broken |= {test for test, _ in run.failed}
        seen.seconds |= run.durations
        _add_lines(seen, data.with_suffix(f".{number}"), nurseries[number].copy)
    seen.seconds = {test: seconds for test, seconds in seen.seconds.items() if test not in seen.broken}
    return seen


def _shares(files: list[str], count: int, known: Suite) -> list[list[str]]:
    """The files over so many runs that should end together; whatever is not known takes a second."""
    last: defaultdict[str, float] = defaultdict(float)
    for test, seconds in zip(known.tests, known.seconds, strict=True):
        last[_file(test)] += seconds
    shares: list[tuple[float, list[str]]] = [(0.0, []) for _ in range(count)]
    for file in sorted(files, key=lambda name: (-last.get(name, 1), name)):
        shares.sort(key=lambda share: share[0])
        spent, chosen = shares[0]
        shares[0] = (spent + last.get(file, 1), [*chosen, file])
    return [sorted(chosen) for _, chosen in shares]


def _cover(nursery: Nursery, data: Path, files: list[str]) -> Run:
    data.unlink(missing_ok=True)
    if not files:
        return Run(0, 0.0, [], "")
    cov = [*(f"--cov={package}" for package in MEASURED), "--cov-context=test", "--cov-report="]
    env = {"COVERAGE_FILE": str(data), "COVERAGE_CORE": "ctrace"}
    selected = ["--tb=short", "-m", "not journey and not mutation", *cov, *files]
    return nursery.pytest(selected, limit=HOUR, env=env)


def _require_sound(run: Run) -> None:
    if run.code not in (0, 1, _NOTHING_SELECTED):
        raise SystemExit(f"the tests do not run:\n{run.output}")
    if len(run.failed) > MOST_BROKEN:
        test, message = run.failed[0]
        raise SystemExit(f"{len(run.failed)} tests fail without a mutant, the first is {test}: {message}")
    for test, message in run.failed:
        print(f"  fails without a mutant: {test}: {message}", file=sys.stderr)


def _add_lines(seen: _Observed, data: Path, root: Path) -> None:
    if not data.exists():
        return
    coverage = CoverageData(str(data))
    coverage.read()
    for file in coverage.measured_files():
        lines = seen.ran[str(Path(file).resolve().relative_to(root.resolve()))]  # `.tools` may be a link
        for line, contexts in coverage.contexts_by_lineno(file).items():
            lines[line] |= {context.partition("|")[0] for context in contexts if context}


def _merge(known: Suite, files: dict[str, str], changed: list[str], new: _Observed | None) -> Suite:
    """What stays true of the known, and what was seen now."""
    kept = {file for file in files if file not in changed}
    seconds = {test: known.seconds[index] for index, test in enumerate(known.tests) if _file(test) in kept}
    seconds |= new.seconds if new else {}
    numbers = {test: index for index, test in enumerate(sorted(seconds))}
    lines: defaultdict[str, defaultdict[int, set[int]]] = defaultdict(lambda: defaultdict(set))
    for file, ran in known.lines.items():
        for line, tests in ran.items():
            lines[file][line] |= {numbers[known.tests[test]] for test in tests if known.tests[test] in numbers}
    for file, seen in (new.ran if new else {}).items():
        for line, names in seen.items():
            lines[file][line] |= {numbers[name] for name in names if name in numbers}
    broken = {test for test in known.broken if _file(test) in kept} | (new.broken if new else set())
    return Suite(
        code=known.code,
        files=files,
        tests=list(numbers),
        seconds=[seconds[test] for test in numbers],
        lines={file: {line: sorted(tests) for line, tests in ran.items() if tests} for file, ran in lines.items()},
        broken=sorted(broken),
    )


def _load(path: Path) -> Suite | None:
    if not path.exists():
        return None
    data = json.loads(path.read_text())
    lines = {file: {int(line): tests for line, tests in lines.items()} for file, lines in data.pop("lines").items()}
    return Suite(**data, lines=lines)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _bond(tests: Path, mutant: Mutant) -> Bond:
    return bond(tests.read_text(), mutant.file.removesuffix(".py").replace("/", "."), mutant.function)


def _file(test: str) -> str:
    return test.partition("::")[0]
