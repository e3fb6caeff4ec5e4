"""`make mutations-contracts`: judge what is not judged yet of the executor's mutants, then print the score.

Goes on where it was until the contract changes; survivors are judged again when a test of tests/contracts has changed.
"""

import argparse
import bisect
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tools.mutations import report
from tools.mutations.contracts import operators
from tools.mutations.mutants import PROJECT, Mutant
from tools.mutations.nursery import Nursery
from tools.mutations.report import Judged
from tools.mutations.run import WORK, Copies, result_of
from tools.mutations.session import MutantResult

NAME = "PlatformExecutor"
SOURCE = f"chain/contracts/{NAME}.sol"
ARTIFACT = f"chain/abi/{NAME}.json"
# Those of the executor first; the others follow, for a repayment may be wrong in the pool only.
TESTS = [
    *(f"tests/contracts/test_{name}.py" for name in ("executor", "repayments", "require_block")),
    "tests/contracts",
]
MODULES = PROJECT / ".tools" / "contracts" / "node_modules"
SLITHER = PROJECT / ".tools" / "slither" / "bin" / "python"
HERE = Path(__file__).resolve().parent
_FUNCTION = re.compile(
    r"^\s*(?:function|modifier|event|error|struct|enum) (\w+)|^\s*(constructor|receive)\b", re.MULTILINE
)


class Session:
    """What is known, in a file of the contract's present state."""

    def __init__(self, source: str) -> None:
        self._path = WORK / "session" / f"{NAME}-{hashlib.sha256(source.encode()).hexdigest()[:12]}.json"
        known = json.loads(self._path.read_text()) if self._path.exists() else {}
        self.results = {key: MutantResult(**result) for key, result in known.items()}

    def keep(self, mutant: Mutant, result: MutantResult) -> None:
        self.results[mutant.key] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps({key: asdict(result) for key, result in self.results.items()}))


class Compilers:
    """The committed compiler, one process for each thread that asks; use as a context manager."""

    def __init__(self) -> None:
        self._own = threading.local()
        self._all: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.communicate()

    def artifact(self, source: str) -> str | None:
        """The file of chain/abi; None where it does not compile."""
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps({"name": NAME, "source": source}) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        return answer.get("artifact")

    def _process(self) -> "subprocess.Popen[str]":
        if not hasattr(self._own, "process"):
            command = [shutil.which("node") or "node", str(HERE / "compile.js")]
            self._own.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            self._all.append(self._own.process)
        process: subprocess.Popen[str] = self._own.process
        return process


def main() -> int:
    options = _options()
    source = (PROJECT / SOURCE).read_text()
    session = Session(source)
    found = dict(_mutants(source))
    if not options.report:
        _judge(session, found, options)
    sample = [Judged(mutant, source, changed, session.results.get(mutant.key)) for mutant, changed in found.items()]
    sample = [one for one in sample if one.result is None or one.result.how != "import"]
    details = report.survivors(sample)
    (WORK / "survivors-contracts.txt").write_text(details + "\n")
    (WORK / "survivors-contracts.toml").write_text(report.open_entries(sample) + "\n")
    print(details + "\n")
    print(report.score(sample))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutations-contracts", description=__doc__)
    parser.add_argument("--report", action="store_true", help="judge nothing, print what is known and the survivors")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one mutant")
    parser.add_argument("--copies", type=int, default=2, help="how many at a time")
    return parser.parse_args()


def _mutants(source: str) -> Iterator[tuple[Mutant, str]]:
    """Each change once, with the changed contract, in the order of the source."""
    seen: Counter[tuple[str, str, str]] = Counter()
    texts = {source}
    starts = [0, *(found.end() for found in re.finditer("\n", source))]
    for operator, start, end, new in sorted(
        [*_of_slither(source), *operators.patches(source)], key=lambda one: one[1:]
    ):
        changed = source[:start] + new + source[end:]
        if changed in texts:
            continue
        texts.add(changed)
        first, last = bisect.bisect_right(starts, start), bisect.bisect_right(starts, end)
        line = source.splitlines()[first - 1].strip()
        same = (_function_at(source, start), operator, line)
        span = (first, start - starts[first - 1]), (last, end - starts[last - 1])
        yield Mutant(SOURCE, *same, seen[same], 0, span), changed
        seen[same] += 1


def _of_slither(source: str) -> Iterator[operators.Patch]:
    command = [SLITHER, HERE / "generate.py", SOURCE, NAME, MODULES.relative_to(PROJECT), HERE / "solc.js"]
    made = subprocess.run([str(part) for part in command], cwd=PROJECT, check=True, capture_output=True, text=True)
    content = source.encode()
    for patch in json.loads(made.stdout):
        start, end = (len(content[: patch[edge]].decode()) for edge in ("start", "end"))
        yield f"slither/{patch['operator']}", start, end, patch["new"]


def _function_at(source: str, position: int) -> str:
    names = [found.group(1) or found.group(2) for found in _FUNCTION.finditer(source, 0, position)]
    return names[-1] if names else ""


def _judge(session: Session, found: dict[Mutant, str], options: argparse.Namespace) -> None:
    mark = _mark()
    waiting = [
        (mutant, changed) for mutant, changed in found.items() if _is_open(session.results.get(mutant.key), mark)
    ]
    print(f"{len(found) - len(waiting)} of {len(found)} are known, {len(waiting)} are judged now", flush=True)
    committed = (PROJECT / ARTIFACT).read_text()
    with Copies(options.copies, "contracts") as copies, Compilers() as compilers:

        def judge(copies: Copies, nursery: Nursery, _: Mutant, changed: str) -> MutantResult:
            artifact = compilers.artifact(changed)
            if artifact is None or artifact == committed:
                return MutantResult("import", 0.0, mark, 0, [], 0, message="does not compile, or to the same code")
            run = copies.run(nursery, ARTIFACT, artifact, TESTS, options.limit)
            return result_of(run, mark=mark, tests=TESTS, beyond=0)

        for number, (mutant, result) in enumerate(copies.judge_all(waiting, judge), 1):
            session.keep(mutant, result)
            if result.survived:
                print(f"  survived: {mutant.span[0][0]} {mutant.operator}: {mutant.line}", flush=True)
            if number % 25 == 0:
                print(f"  {number} of {len(waiting)}", flush=True)


def _mark() -> str:
    digest = hashlib.sha256()
    for file in sorted((PROJECT / "tests" / "contracts").glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _is_open(result: MutantResult | None, mark: str) -> bool:
    return result is None or (result.survived and result.suite != mark)


if __name__ == "__main__":
    os.environ["CONTRACTS_MODULES"] = str(MODULES)
    sys.exit(main())
