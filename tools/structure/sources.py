"""The project's Python files, parsed once."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# Folders that hold no code of the product; `.tools`, `.venv` and their like begin with a dot.
ASIDE = {"tests", "migrations", "node_modules", "staticfiles", "build"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """One file: `path` relative to the project, `module` as it is imported."""

    path: str
    text: str

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        """What a relative import of this file starts from."""
        return self.module if self.path.endswith("/__init__.py") else self.module.rpartition(".")[0]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    def functions(self) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
        """All functions and methods, nested ones too."""
        return (node for node in self.nodes if isinstance(node, FUNCTIONS))

    def definitions(self) -> Iterator[Definition]:
        """The functions and classes of the module itself."""
        return (node for node in self.tree.body if isinstance(node, (*FUNCTIONS, ast.ClassDef)))


def read_sources(root: Path) -> list[Source]:
    """All files of the project but tests and migrations, by path."""
    return [
        Source(str(path.relative_to(root)), path.read_text())
        for path in sorted(_python_files(root))
        if path.parent != root or path.name == "manage.py"
    ]


def _python_files(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.name.startswith(".") and entry.name not in ASIDE:
            yield from _python_files(entry)
        elif entry.suffix == ".py":
            yield entry
