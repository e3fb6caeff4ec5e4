"""The mutants of the modules that decide about money, each under a name that stays when lines move."""

import ast
import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from tools.mutations import operators

PROJECT = Path(__file__).resolve().parent.parent.parent
LARGE = 100
SCOPE = (
    "chain",
    *(f"loans/{room}" for room in ("funding", "ledger", "positions", "reconciliation", "rollback", "services")),
    "partners/limits.py",
)

Position = tuple[int, int]
Span = tuple[Position, Position]


def modules(project: Path = PROJECT) -> list[str]:
    """The files in the scope, relative to the project; migrations are history, not behaviour."""
    found = [
        path
        for part in SCOPE
        for path in ([project / part] if part.endswith(".py") else (project / part).rglob("*.py"))
    ]
    return sorted(str(path.relative_to(project)) for path in found if "migrations" not in path.parts)


@dataclass(frozen=True)
class Mutant:
    """One change: the `occurrence`-th of an operator in a file. `line` is the first line of what changes, stripped;
    `number` counts those of one function that share operator and line.
    """

    file: str
    function: str
    operator: str
    line: str
    number: int
    occurrence: int
    span: Span = field(compare=False)

    @cached_property
    def key(self) -> str:
        """Its name in the session: the same as long as function, operator and line are."""
        text = "\0".join((self.file, self.function, self.operator, self.line, str(self.number)))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def place(self, seed: int) -> str:
        """Mutants sorted by this are in random order, and almost in the same one after the code has changed."""
        return hashlib.sha256(f"{seed}:{self.key}".encode()).hexdigest()

    def apply(self, source: str) -> str:
        """The file with the change."""
        mutated = mutate_code(source, plugins.get_operator(self.operator)(), self.occurrence)
        assert mutated is not None, f"{self} is not in {self.file}"
        return str(mutated)


def becomes(source: str, mutated: str) -> str:
    """The lines that stand where the changed ones stood, stripped; a part of the mutant's name in `survivors.toml`."""
    lines = difflib.ndiff(source.splitlines(), mutated.splitlines())
    return " ".join(line[2:].strip() for line in lines if line.startswith("+ "))


def diff(file: str, source: str, mutated: str) -> str:
    """As `diff -u` prints it."""
    lines = difflib.unified_diff(source.splitlines(), mutated.splitlines(), f"a/{file}", f"b/{file}", lineterm="", n=2)
    return "\n".join(lines)


def find_mutants(file: str, source: str) -> list[Mutant]:
    """All mutants of one file whose change can matter."""
    code = _Code(source)
    nodes = list(ast_nodes(get_ast(source)))
    seen: Counter[tuple[str, str, str]] = Counter()
    mutants = []
    for name in operators.register_operators():
        operator = plugins.get_operator(name)()
        spans = [span for node in nodes for span in operator.mutation_positions(node)]
        for occurrence, (start, end) in enumerate(spans):
            if not code.matters(name, (start, end)):
                continue
            same = (code.function_at(start), name, code.lines[start[0] - 1].strip())
            mutants.append(Mutant(file, *same, seen[same], occurrence, (start, end)))
            seen[same] += 1
    return mutants


class _Code:
    """What surrounds a position: the function it is in, and whether anybody could see a change there."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()
        self._functions: list[tuple[Span, str]] = []
        self._inert: list[Span] = []
        self._gaps: list[Span] = []  # between the operands of a binary operation: elsewhere a `*` marks arguments
        self._bounds: list[Span] = []
        self._walk(ast.parse(source), "")

    def function_at(self, position: Position) -> str:
        """The qualified name of the innermost function or class; "" at the top of the module."""
        inside = [name for span, name in self._functions if span[0] <= position < span[1]]
        return inside[-1] if inside else ""

    def matters(self, operator: str, span: Span) -> bool:
        """False where no behaviour changes: in annotations, in lines of the log below ERROR, for a `*` that is no
        operator, and one more or less of a bound of a hundred or more, or of the seconds that something has patience.
        """
        if "BinaryOperator" in operator and not any(_holds(gap, span) for gap in self._gaps):
            return False
        if operator == "core/NumberReplacer" and any(_holds(bound, span) for bound in self._bounds):
            return False
        return not any(_holds(inert, span) for inert in self._inert)

    def _walk(self, node: ast.AST, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = owner
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{owner}.{child.name}" if owner else child.name
                first = min([child.lineno, *(decorator.lineno for decorator in child.decorator_list)])
                self._functions.append((((first, 0), _span(child)[1]), name))
            self._inert.extend(_span(part) for part in _inert_parts(child))
            self._bounds.extend(_span(value) for value in _values(child) if value is not None and _is_large(value))
            if isinstance(child, ast.Assign) and ast.unparse(child.targets[0]).endswith("_SECONDS"):
                self._bounds.append(_span(child.value))
            if isinstance(child, ast.BinOp):
                self._gaps.append((_span(child.left)[1], _span(child.right)[0]))
            self._walk(child, name)


def _inert_parts(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.FunctionDef) and node.returns is not None:
        yield node.returns
    if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
        yield node.annotation
    if isinstance(node, ast.Expr) and operators.is_quiet_log(ast.unparse(node)):
        yield node
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        yield node
    if isinstance(node, ast.keyword) and node.arg in _ASSERTIONS:
        yield node


# Of zip() and dataclasses: what they refuse, nobody does. What Django's forms take is the console's.
_ASSERTIONS = frozenset({"strict", "frozen", "kw_only", "blank"})


def _values(node: ast.AST) -> Iterator[ast.AST | None]:
    """Where a number stands for itself, in no calculation: a constant, an argument, the bound of a slice."""
    if isinstance(node, ast.Assign | ast.keyword):
        yield node.value
    if isinstance(node, ast.Slice):
        yield node.upper


def _is_large(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and node.value >= LARGE


def _span(node: ast.AST) -> Span:
    part: ast.expr = node  # type: ignore[assignment]
    return (part.lineno, part.col_offset), (part.end_lineno or part.lineno, part.end_col_offset or part.col_offset)


def _holds(outer: Span, inner: Span) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]
