"""Mutation operators beside cosmic-ray's own, and which of its own are used.

What guards money here is often not an operator but a word: one more condition in a `filter()`, a `raise`, an early
`return`. Two operators of ours take such words out. Of cosmic-ray's replacements of one operator by each other one,
those are left that a programmer could have meant: the rest fails at once in any test and would only flatter the score.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Keyword

PROVIDER = "guards"

_BINARY = (
    "Add_Sub Sub_Add Mul_FloorDiv FloorDiv_Mul Div_Mul Mod_FloorDiv Pow_Mul BitOr_BitAnd BitAnd_BitOr LShift_RShift"
)
_COMPARISONS = (  # one off, and the reverse
    "Eq_NotEq NotEq_Eq Is_IsNot IsNot_Is Lt_LtE Lt_GtE LtE_Lt LtE_Gt Gt_GtE Gt_LtE GtE_Gt GtE_Lt"
)
CORE = (
    *(f"core/ReplaceBinaryOperator_{pair}" for pair in _BINARY.split()),
    *(f"core/ReplaceComparisonOperator_{pair}" for pair in _COMPARISONS.split()),
    "core/AddNot",
    "core/ExceptionReplacer",
    "core/NumberReplacer",
    "core/RemoveDecorator",
    "core/ReplaceAndWithOr",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceOrWithAnd",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceUnaryOperator_USub_UAdd",
    "core/ZeroIterationForLoop",
)
# Calls whose keywords are conditions or writes: any of them can be left out, and the call still runs.
GUARDED_CALLS = frozenset({"filter", "exclude", "get", "update", "write", "Q"})
QUIET_LOGS = frozenset({"debug", "info", "warning"})


class RemoveKeyword(Operator):
    """`rows.filter(pk=pk, state=QUEUED)` without one of its keywords."""

    def mutation_positions(self, node: object) -> Iterator[tuple[Any, Any]]:
        for argument in _keywords(node):
            yield argument.start_pos, argument.end_pos

    def mutate(self, node: object, index: int) -> object:
        argument = list(_keywords(node))[index]
        parent = argument.parent
        place = parent.children.index(argument)
        del parent.children[place]
        if parent.type == "arglist":  # with its comma
            del parent.children[place if place < len(parent.children) else place - 1]
        return node

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return (
            Example("rows.filter(pk=1, state=2)", "rows.filter( state=2)"),
            Example("rows.filter(pk=1, state=2)", "rows.filter(pk=1)", occurrence=1),
            Example("rows.update(state=2)", "rows.update()"),
        )


class RemoveStatement(Operator):
    """`pass` in the place of a call for its effect, a `raise`, or a `return` that ends a function early."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        if _is_removable(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> object:
        assert index == 0
        first = node.get_first_leaf()
        return Keyword("pass", first.start_pos, first.prefix)

    @classmethod
    def examples(cls) -> Iterable[Example]:
        return (
            Example("do(1)\n", "pass\n"),
            Example("if a:\n    raise Wrong(a)\n", "if a:\n    pass\n"),
            Example("def f():\n    if a:\n        return 1\n", "def f():\n    if a:\n        pass\n"),
        )


def _keywords(node: Any) -> Iterator[Any]:
    """The keyword arguments of a call in `GUARDED_CALLS`; `node` is the trailer with its parentheses."""
    if node.type != "trailer" or node.children[0].value != "(" or _name_before(node) not in GUARDED_CALLS:
        return
    inside = node.children[1]
    for argument in inside.children if inside.type == "arglist" else [inside]:
        if argument.type == "argument" and getattr(argument.children[1], "value", "") == "=":
            yield argument


def _name_before(trailer: Any) -> str:
    siblings = trailer.parent.children
    before = siblings[siblings.index(trailer) - 1]
    return str(before.get_last_leaf().value)


def _is_removable(node: Any) -> bool:
    if node.type == "raise_stmt":
        return True
    if node.type == "return_stmt":
        return _ends_early(node)
    is_call = node.type in ("atom_expr", "power") and node.children[-1].type == "trailer"
    is_call = is_call and node.children[-1].children[0].value == "("
    return is_call and node.parent.type == "simple_stmt" and not is_quiet_log(node.get_code())


def _ends_early(node: Any) -> bool:
    """True for the `return` in an `if`: what follows would run."""
    statement = node.parent
    suite = statement.parent
    return bool(suite.type == "suite" and suite.parent.type == "if_stmt") or statement.type == "if_stmt"


def is_quiet_log(code: str) -> bool:
    """True for a line in the log below ERROR: nobody has to be told it."""
    name, _, rest = code.strip().partition(".")
    return name == "logger" and rest.partition("(")[0] in QUIET_LOGS


class Provider:
    """cosmic-ray's interface for operators from elsewhere."""

    _operators: dict[str, type[Operator]] = {
        operator.__name__: operator for operator in (RemoveKeyword, RemoveStatement)
    }

    def __iter__(self) -> Iterator[str]:
        return iter(self._operators)

    def __getitem__(self, name: str) -> type[Operator]:
        return self._operators[name]


def register_operators() -> tuple[str, ...]:
    """Make ours known to cosmic-ray; answers the names of all that are used."""
    provider = plugins.OPERATOR_PROVIDERS.setdefault(PROVIDER, Provider())
    return (*CORE, *(f"{PROVIDER}/{name}" for name in provider))
