"""The score of a sample, and its survivors: those that `survivors.toml` explains, and the open ones."""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.mutations.mutants import PROJECT, Mutant, becomes, diff
from tools.mutations.session import MutantResult

SURVIVORS = PROJECT / "tests" / "mutations" / "survivors.toml"
BAR = 0.95


@dataclass(frozen=True)
class Judged:
    """A mutant of the sample with its file as it is and as it would be; no result where none is known yet."""

    mutant: Mutant
    source: str
    mutated: str
    result: MutantResult | None

    @property
    def name(self) -> tuple[str, str, str, str]:
        """As `survivors.toml` names it."""
        return self.mutant.file, self.mutant.function, self.mutant.line, becomes(self.source, self.mutated)


def explained(path: Path = SURVIVORS) -> dict[tuple[str, str, str, str], str]:
    """The reasons, by file, function, line and what the line becomes."""
    if not path.exists():
        return {}
    entries = tomllib.loads(path.read_text()).get("survivor", [])
    return {(one["file"], one["function"], one["line"], one["becomes"]): one["reason"] for one in entries}


def score(sample: list[Judged]) -> str:
    """Some lines for the end of a run."""
    return "\n".join(_score(sample))


def _score(sample: list[Judged]) -> Iterator[str]:
    known = [judged.result for judged in sample if judged.result is not None]
    how = Counter(result.how for result in known)
    killed = len(known) - how["survived"]
    reasons = explained()
    survivors = [judged for judged in sample if judged.result is not None and judged.result.survived]
    told = sum(judged.name in reasons for judged in survivors)
    yield from _by_file(sample)
    yield ""
    yield f"{len(known)} of {len(sample)} judged: {killed} killed, {how['survived']} survived"
    yield (
        f"  killed: {how['failed']} by a test, {how['import']} could not be imported, {how['time-out']} in time-out\n"
        f"  survived: {told} with a reason in tests/mutations/survivors.toml, {how['survived'] - told} open"
    )
    if known:
        spent = sum(result.seconds for result in known) / len(known)
        yield f"  {spent:.1f} s a mutant"
        yield f"score: {100 * killed / len(known):.1f} % (the bar is {100 * BAR:.0f} %)"


def _by_file(sample: list[Judged]) -> Iterator[str]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for judged in sample:
        if judged.result is not None:
            counts[judged.mutant.file]["all"] += 1
            counts[judged.mutant.file]["survived"] += judged.result.survived
    for file, count in sorted(counts.items(), key=lambda item: -item[1]["survived"]):
        if count["survived"]:
            yield f"  {count['all'] - count['survived']:4} of {count['all']:3} killed  {file}"


def survivors(sample: list[Judged]) -> str:
    """The open ones first; conditions and statements before numbers, for they are the guards."""
    reasons = explained()
    left = [judged for judged in sample if judged.result is not None and judged.result.survived]
    left.sort(key=lambda one: (one.name in reasons, "Number" in one.mutant.operator, one.mutant.file, one.mutant.span))
    return "\n\n".join(_survivor(one, reasons.get(one.name)) for one in left)


def _survivor(one: Judged, reason: str | None) -> str:
    mutant, result = one.mutant, one.result
    assert result is not None
    title = f"{mutant.file}:{mutant.span[0][0]} {mutant.function or '(module)'} {mutant.operator.partition('/')[2]}"
    tests = [f"    {test}" for test in result.tests[:5]]
    more = len(result.tests) - len(tests)
    judged = f"  {len(result.tests)} tests ran it" + (f", {result.beyond} more had no time" if result.beyond else "")
    verdict = f"  explained: {reason}" if reason else "  open"
    lines = [title, diff(mutant.file, one.source, one.mutated), verdict, judged, *tests]
    return "\n".join([*lines, f"    and {more} more"] if more > 0 else lines)


def open_entries(sample: list[Judged]) -> str:
    """What to put into `survivors.toml` for the open ones, without their reasons."""
    reasons = explained()
    left = [judged for judged in sample if judged.result is not None and judged.result.survived]
    return "\n\n".join(_entry(judged) for judged in left if judged.name not in reasons)


def _entry(one: Judged) -> str:
    names = zip(("file", "function", "line", "becomes"), one.name, strict=True)
    quoted = [f"{name} = {_quoted(value)}" for name, value in names]
    return "\n".join(["[[survivor]]", *quoted, f'operator = "{one.mutant.operator}"', 'reason = ""'])


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
