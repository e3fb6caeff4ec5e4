"""What became of each mutant, kept by cosmic-ray: a database for each state of a module, so that a module which did not
change goes on where it was, and one that did knows which test noticed what.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from cosmic_ray.work_db import WorkDB
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from tools.mutations.mutants import Mutant, find_mutants


@dataclass(frozen=True)
class MutantResult:
    """`how`: survived, failed (a test failed), import (nothing could be imported or collected), time-out."""

    how: str
    seconds: float
    suite: str  # the mark of the tests that judged it
    ran: int
    tests: list[str]
    beyond: int  # tests that run the line too, and had no time
    noticed_by: str = ""
    message: str = ""

    @property
    def survived(self) -> bool:
        return self.how == "survived"


_OUTCOMES = {"survived": TestOutcome.SURVIVED, "import": TestOutcome.INCOMPETENT}


class Module:
    """The mutants of one file, and the results known so far. `noticed`: by the key of a mutant, the test that killed it
    in an earlier state of the file: likely to kill it again.
    """

    def __init__(self, folder: Path, file: str, source: str) -> None:
        self.source = source
        self.mutants = find_mutants(file, source)
        digest = hashlib.sha256(source.encode()).hexdigest()[:12]
        folder.mkdir(parents=True, exist_ok=True)
        name = file.removesuffix(".py").replace("/", ".")
        self._path = folder / f"{name}-{digest}.sqlite"
        self._db: WorkDB | None = None
        self.results: dict[str, MutantResult] = self._read() if self._path.exists() else {}
        self.noticed = _noticed(path for path in folder.glob(f"{name}-*.sqlite") if path != self._path)

    def keep(self, mutant: Mutant, result: MutantResult, diff: str) -> None:
        """Write a result down; it replaces an older one."""
        self.results[mutant.key] = result
        kept = WorkResult(
            worker_outcome=WorkerOutcome.NORMAL,
            test_outcome=_OUTCOMES.get(result.how, TestOutcome.KILLED),
            output=json.dumps(asdict(result)),
            diff=diff,
        )
        self._open().set_result(mutant.key, kept)

    def forget(self) -> None:
        """Begin anew."""
        self.results = {}
        self._open().clear()
        self._open().add_work_items(_work(mutant) for mutant in self.mutants)

    def _open(self) -> WorkDB:
        if self._db is None:
            self._db = WorkDB(self._path, WorkDB.Mode.create)
            known = {item.job_id for item in self._db.work_items}
            self._db.add_work_items(_work(mutant) for mutant in self.mutants if mutant.key not in known)
        return self._db

    def _read(self) -> dict[str, MutantResult]:
        return _results(self._open())


def _noticed(paths: Iterable[Path]) -> dict[str, str]:
    """The tests that killed mutants in these databases, the newest database's word last."""
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: path.stat().st_mtime):
        results = _results(WorkDB(path, WorkDB.Mode.open))
        found |= {key: result.noticed_by for key, result in results.items() if result.how == "failed"}
    return found


def _results(database: WorkDB) -> dict[str, MutantResult]:
    return {key: MutantResult(**json.loads(result.output or "{}")) for key, result in database.results}


def _work(mutant: Mutant) -> WorkItem:
    start, end = mutant.span
    spec = MutationSpec(
        module_path=mutant.file,
        operator_name=mutant.operator,
        occurrence=mutant.occurrence,
        start_pos=start,
        end_pos=end,
        definition_name=mutant.function,
    )
    return WorkItem.single(mutant.key, spec)
