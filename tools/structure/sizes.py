"""How long functions and files are, how full folders, and how much of the signatures says nothing."""

import ast
from collections import Counter
from collections.abc import Iterator

from tools.structure.rules import Rules
from tools.structure.sources import Source


def too_large(sources: list[Source], rules: Rules) -> Iterator[str]:
    """A function counts from its `def` to its last line, docstring included; a folder counts its own .py files."""
    for source in sources:
        for function in source.functions():
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > rules.function_lines:
                yield f"long function {source.module}.{function.name}: {lines} lines"
        if (lines := source.text.count("\n")) > rules.file_lines:
            yield f"long file {source.path}: {lines} lines"
    for folder, files in Counter(source.path.rpartition("/")[0] for source in sources).items():
        if files > rules.folder_files:
            yield f"full folder {folder}: {files} Python files"


def any_count(source: Source) -> int:
    """How often `Any` stands in the types of parameters and results."""
    return sum(
        _is_any(node)
        for function in source.functions()
        for annotation in _annotations(function)
        for node in ast.walk(annotation)
    )


def any_finding(sources: list[Source], rules: Rules) -> Iterator[str]:
    count = sum(map(any_count, sources))
    if count > rules.any_in_signatures:
        yield f"Any in signatures: {count} times, at most {rules.any_in_signatures} are allowed"
    if count < rules.any_in_signatures:
        yield f"Any in signatures: only {count} times now; write {count} as any_in_signatures into rules.toml"


def _annotations(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    given = function.args
    parameters = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    yield from (parameter.annotation for parameter in parameters if parameter and parameter.annotation)
    if function.returns:
        yield function.returns


def _is_any(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id == "Any") or (isinstance(node, ast.Attribute) and node.attr == "Any")
