"""`survivors.toml` explains changes that no test notices; an explanation goes with the code that it is about."""

import ast
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
ENTRIES = tomllib.loads((PROJECT / "tests" / "mutations" / "survivors.toml").read_text()).get("survivor", [])


def lines_of(file: str, qualified: str) -> list[str]:
    """The stripped lines of a function or class, of the whole file where the name is empty or it is no Python."""
    source = (PROJECT / file).read_text()
    if not file.endswith(".py"):
        return [line.strip() for line in source.splitlines()]
    node: ast.AST = ast.parse(source)
    for name in qualified.split(".") if qualified else []:
        (node,) = [
            child
            for child in ast.walk(node)
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == name and child is not node
        ][:1]
    lines = source.splitlines()
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        lines = lines[first - 1 : node.end_lineno]
    return [line.strip() for line in lines]


def test_each_survivor_stands_in_the_code_and_has_a_reason() -> None:
    for entry in ENTRIES:
        assert entry["line"] in lines_of(entry["file"], entry["function"]), f"gone: {entry}"
        assert entry["line"] != entry["becomes"]
        assert len(entry["reason"]) > 20, entry
    assert len({(one["file"], one["function"], one["line"], one["becomes"]) for one in ENTRIES}) == len(ENTRIES)
