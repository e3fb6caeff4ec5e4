"""Judging mutants: each in a copy of the project, two copies at a time."""

import itertools
import os
import shutil
import subprocess
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Self

from tools.mutations.mutants import PROJECT, Mutant
from tools.mutations.nursery import Nursery, Run
from tools.mutations.session import MutantResult
from tools.mutations.suite import PATIENCE, Suite

WORK = PROJECT / ".tools" / "mutations"
PACKAGES = WORK / "packages"
LIKELY = 5  # tests that killed the most of a file: they go first
FIRST_SECONDS = 10.0  # of tests that run by themselves before the others
_FIRST_TIME = 1_000_000_000  # seconds since the epoch: a changed file is older than any other, each by its own time
_COLLECTION_FAILED = (2, 3, 4)  # pytest's exit codes


def tracked() -> list[str]:
    """The project's files, those included that are not committed yet."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [file for file in listed if (PROJECT / file).is_file()]


class Copies:
    """The copies and their nurseries; use as a context manager."""

    def __init__(self, count: int, name: str = "python") -> None:
        self.nurseries: list[Nursery] = []
        self._count = count
        self._name = name
        self._free: list[Nursery] = []
        self._times = itertools.count(_FIRST_TIME)
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        files = tracked()
        places = [WORK / "copies" / f"{self._name}-{number}" for number in range(self._count)]
        for place in places:
            _copy(files, place)
        with ThreadPoolExecutor(self._count) as pool:
            env = {"PYTHONPATH": str(PACKAGES)}
            self.nurseries = list(pool.map(lambda place: Nursery(place, place.with_suffix(".run"), env), places))
        self._free = list(self.nurseries)
        return self

    def __exit__(self, *_: object) -> None:
        for nursery in self.nurseries:
            nursery.close()

    def judge_all(
        self, work: Iterable[tuple[Mutant, str]], judge: Callable[["Copies", Nursery, Mutant, str], MutantResult]
    ) -> Iterator[tuple[Mutant, MutantResult]]:
        """The results as they come; `work` is mutants with their changed files."""
        with ThreadPoolExecutor(self._count) as pool:
            waiting = {pool.submit(self._with_a_copy, judge, mutant, code): mutant for mutant, code in work}
            try:
                for future in as_completed(waiting):
                    yield waiting[future], future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def run(self, nursery: Nursery, name: str, code: str, tests: list[str], limit: float) -> Run:
        """pytest on a changed file, which is put back."""
        file = nursery.copy / name
        original, times = file.read_bytes(), file.stat()
        moment = next(self._times)
        try:
            file.write_text(code)
            os.utime(file, (moment, moment))
            return nursery.pytest(["-x", "--tb=line", *tests], limit=limit)
        finally:
            file.write_bytes(original)
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    def _with_a_copy(
        self, judge: Callable[["Copies", Nursery, Mutant, str], MutantResult], mutant: Mutant, code: str
    ) -> MutantResult:
        with self._lock:
            nursery = self._free.pop()
        try:
            return judge(self, nursery, mutant, code)
        finally:
            with self._lock:
                self._free.append(nursery)


class Judge:
    """Lets the tests that run a mutant's line judge it, until the first one fails; that which noticed it before its
    module changed (`noticed`, by the mutant's key) goes first, and then those that killed others of its file just now.
    """

    def __init__(self, suite: Suite, limit: float, noticed: Mapping[str, str]) -> None:
        self._suite, self._limit, self._noticed = suite, limit, noticed
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __call__(self, copies: Copies, nursery: Nursery, mutant: Mutant, code: str) -> MutantResult:
        tests, beyond = self._suite.judges(mutant, PROJECT)
        mark = self._suite.mark(tests)
        if not tests:
            return MutantResult("survived", 0.0, mark, 0, [], beyond, message="no test runs the line")
        likely = [self._noticed.get(mutant.key), *(test for test, _ in self._killers[mutant.file].most_common(LIKELY))]
        tests.sort(key=lambda test: likely.index(test) if test in likely else len(likely))
        result = MutantResult("survived", 0.0, mark, 0, tests, beyond)
        for chosen in self._in_two(tests):
            limit = max(self._limit, PATIENCE * self._suite.seconds_of(chosen)) - result.seconds
            found = result_of(
                copies.run(nursery, mutant.file, code, chosen, limit), mark=mark, tests=tests, beyond=beyond
            )
            result = replace(found, seconds=round(result.seconds + found.seconds, 2), ran=result.ran + found.ran)
            if not result.survived:
                break
        if result.how == "failed":
            self._killers[mutant.file][result.noticed_by] += 1
        return result

    def _in_two(self, tests: list[str]) -> list[list[str]]:
        """The first few by themselves: most mutants do not survive them, and the other files are not even collected."""
        first, spent = 0, 0.0
        while first < len(tests) and spent < FIRST_SECONDS:
            spent += self._suite.seconds_of(tests[first : first + 1])
            first += 1
        return [part for part in (tests[:first], tests[first:]) if part]


def result_of(run: Run, *, mark: str, tests: list[str], beyond: int) -> MutantResult:
    """What a run of these tests says about a mutant."""
    ran = [event["started"] for event in run.events if "started" in event]
    how = _how(run)
    noticed_by, message = run.failed[0] if run.failed else ("", run.output.strip()[-300:])
    if how == "time-out":
        noticed_by, message = ran[-1] if ran else "", ""
    if how == "survived":
        noticed_by = message = ""
    return MutantResult(how, round(run.seconds, 2), mark, len(ran), tests, beyond, noticed_by, message)


def _how(run: Run) -> str:
    if run.code is None:
        return "time-out"
    if run.code == 0:
        return "survived"
    return "failed" if run.code not in _COLLECTION_FAILED and run.failed else "import"


def _copy(files: list[str], place: Path) -> None:
    """Make `place` equal to the project as it is now; a file that is the same already keeps its bytecode."""
    wanted = {place / file: PROJECT / file for file in files}
    for found in [path for path in place.rglob("*") if path.is_file() and not path.is_symlink()]:
        if found not in wanted and ".tools" not in found.relative_to(place).parts:
            found.unlink()
    for target, source in wanted.items():
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    (place / ".tools").mkdir(exist_ok=True)
    for tool in ("node", "contracts"):
        link = place / ".tools" / tool
        if not link.is_symlink() and (PROJECT / ".tools" / tool).exists():
            link.symlink_to(PROJECT / ".tools" / tool)
