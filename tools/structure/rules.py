"""`rules.toml`: the limits, the exceptions and the findings that are known."""

import re
import tomllib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

RULES = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True)
class Rules:
    """`any_in_signatures` may only fall: a lower count is an error too, until it is written down.

    `twins` are names that may be defined twice, `called` symbols (`module.name`) that something outside the Python code
    calls, each with its reason. `known` are findings by their first words, up to the colon.
    """

    function_lines: int
    file_lines: int
    folder_files: int
    any_in_signatures: int
    twins: dict[str, str] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)
    known: list[str] = field(default_factory=list)


def read_rules(path: Path = RULES) -> Rules:
    told = tomllib.loads(path.read_text())
    return Rules(**told["limits"], twins=told["twins"], called=told["called"], known=told["known"]["findings"])


def tightened(text: str, gone: AbstractSet[str], any_in_signatures: int) -> str:
    """The text of a rules.toml without the known findings that are `gone`, its bound on `Any` not above the count."""
    lines = [line for line in text.splitlines(keepends=True) if line.strip().rstrip(",").strip('"') not in gone]
    bound = re.compile(r"^(any_in_signatures = )(\d+)$", re.MULTILINE)
    return bound.sub(lambda match: f"{match[1]}{min(int(match[2]), any_in_signatures)}", "".join(lines))
