"""`make mutations`: judge what is not judged yet of a sample, then print the score.

An unfinished run goes on; a survivor without a reason is judged again once a test has changed; what was killed stays so
until its module changes (`--fresh` begins anew).
"""

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tools.mutations import report, suite
from tools.mutations.mutants import PROJECT, Mutant, diff, modules
from tools.mutations.report import Judged
from tools.mutations.run import WORK, Copies, Judge, tracked
from tools.mutations.session import Module, MutantResult


def main() -> int:
    options = _options()
    known = {file: Module(WORK / "session", file, (PROJECT / file).read_text()) for file in modules()}
    chosen = [(mutant, code) for mutant, code in _sample(known, options)]
    if options.fresh:
        for module in known.values():
            module.forget()
    if not options.report:
        _judge(known, chosen, options)
    sample = [
        Judged(mutant, known[mutant.file].source, code, known[mutant.file].results.get(mutant.key))
        for mutant, code in chosen
    ]
    details = report.survivors(sample)
    (WORK / "survivors.txt").write_text(details + "\n")
    (WORK / "survivors.toml").write_text(report.open_entries(sample) + "\n")
    if options.report:
        print(details + "\n")
    print(report.score(sample))
    print(f"each survivor with its change and its tests: {(WORK / 'survivors.txt').relative_to(PROJECT)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("--sample", default="600", help="how many mutants, or `all`")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="of files that begin with one of these, separated by commas")
    parser.add_argument("--report", action="store_true", help="judge nothing, print what is known and the survivors")
    parser.add_argument("--fresh", action="store_true", help="forget what is known")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds for one mutant")
    parser.add_argument("--copies", type=int, default=2, help="how many at a time")
    return parser.parse_args()


def _sample(known: dict[str, Module], options: argparse.Namespace) -> Iterator[tuple[Mutant, str]]:
    """The first mutants in the seed's order that are Python, with the changed file."""
    prefixes = tuple(options.only.split(","))
    found = [mutant for module in known.values() for mutant in module.mutants if mutant.file.startswith(prefixes)]
    found.sort(key=lambda mutant: mutant.place(options.seed))
    left = len(found) if options.sample == "all" else int(options.sample)
    for mutant in found:
        if not left:
            return
        code = mutant.apply(known[mutant.file].source)
        if _compiles(code):
            left -= 1
            yield mutant, code


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec", dont_inherit=True)
    except SyntaxError:
        return False
    return True


def _judge(known: dict[str, Module], sample: list[tuple[Mutant, str]], options: argparse.Namespace) -> None:
    with Copies(options.copies) as copies:
        seen = suite.up_to_date(copies.nurseries, WORK / "suite.json", PROJECT, tracked())
        waiting = [(mutant, code) for mutant, code in sample if _is_open(mutant, code, known[mutant.file], seen)]
        print(f"{len(sample) - len(waiting)} of {len(sample)} are known, {len(waiting)} are judged now", flush=True)
        began = time.monotonic()
        noticed = {key: test for module in known.values() for key, test in module.noticed.items()}
        results = copies.judge_all(waiting, Judge(seen, options.limit, noticed))
        for number, (mutant, result) in enumerate(results, 1):
            module = known[mutant.file]
            module.keep(mutant, result, diff(mutant.file, module.source, mutant.apply(module.source)))
            _tell(mutant, result)
            if number % 25 == 0:
                spent = time.monotonic() - began
                print(f"  {number} of {len(waiting)}, {spent / number:.1f} s each", flush=True)


def _is_open(mutant: Mutant, code: str, module: Module, seen: suite.Suite) -> bool:
    """Not judged yet, or by other tests than would now; a survivor that has its reason is left at that."""
    result = module.results.get(mutant.key)
    if result is None or not result.survived:
        return result is None
    is_explained = Judged(mutant, module.source, code, result).name in report.explained()
    return not is_explained and result.suite != seen.mark(seen.judges(mutant, PROJECT)[0])


def _tell(mutant: Mutant, result: MutantResult) -> None:
    if result.how in ("survived", "time-out"):
        place = f"{mutant.file}:{mutant.span[0][0]}"
        operator = mutant.operator.partition("/")[2]
        print(f"  {result.how}: {place} {mutant.function} {operator}: {mutant.line}", flush=True)


if __name__ == "__main__":
    assert Path.cwd() == PROJECT, "run it by `make mutations`"
    sys.exit(main())
