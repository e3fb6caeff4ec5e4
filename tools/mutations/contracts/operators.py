"""Changes of Solidity that slither-mutate does not make, found in the text outside its comments."""

import re
from collections.abc import Iterator

Patch = tuple[str, int, int, str]  # operator, start, end, what stands there instead; in characters

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_RELATIONAL = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"]}
_MODIFIERS = re.compile(r"\s+(?:onlySelf|onlyOwner|whenNotPaused)\b(?=[\s\w]*(?:returns\s*\([^)]*\)\s*)?\{)")
_NUMBER = re.compile(r"(?<![\w.])\d[\d_]*(?![\w.])")
_LARGE = 100


def patches(source: str) -> Iterator[Patch]:
    """All of them, from the first contract on."""
    text = _COMMENT.sub(lambda comment: " " * len(comment.group()), source)
    begin = text.index("\ncontract ")
    for make in (_modifiers, _relations, _minima, _assembly, _numbers):
        yield from (patch for patch in make(text) if patch[1] > begin)


def _modifiers(text: str) -> Iterator[Patch]:
    for found in _MODIFIERS.finditer(text):
        yield "RemoveModifier", found.start(), found.end(), ""


def _relations(text: str) -> Iterator[Patch]:
    for found in re.finditer(r" (==|!=|<=|>=|<|>) ", text):
        for other in _RELATIONAL[found.group(1)]:
            yield "ReplaceRelation", found.start(1), found.end(1), other


def _minima(text: str) -> Iterator[Patch]:
    """`Math.min(a, b)` is a, and is b."""
    for found in re.finditer(r"Math\.min\(", text):
        parts, end = _arguments(text, found.end())
        for part in parts:
            yield "TakeArgument", found.start(), end, part.strip()


def _arguments(text: str, start: int) -> tuple[list[str], int]:
    """The arguments of a call whose parenthesis was opened before `start`, and the position after the closing one."""
    depth, parts, last = 1, [], start
    for position in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if (depth == 1 and text[position] == ",") or depth == 0:
            parts.append(text[last:position])
            last = position + 1
        if depth == 0:
            return parts, position + 1
    raise ValueError("a parenthesis is not closed")


def _assembly(text: str) -> Iterator[Patch]:
    for found in re.finditer(r"\bgt\(", text):
        yield "ReplaceOpcode", found.start(), found.end(), "lt("


def _numbers(text: str) -> Iterator[Patch]:
    """One more and one less; of a hundred or more the half."""
    for found in _NUMBER.finditer(text):
        number = int(found.group().replace("_", ""))
        others = [number // 2] if number >= _LARGE else [number + 1, *([number - 1] if number else [])]
        for other in others:
            yield "ReplaceNumber", found.start(), found.end(), str(other)
