"""Reading source for what works on one database only."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
APPS = ("audit", "chain", "partners", "webhooks", "loans", "sandbox", "partner_platform")
MAY_USE_TRANSACTIONS = {"partner_platform/core/database/transactions.py"}
NAMES_WHAT_IT_FORBIDS = "partner_platform/core/checks.py"
BANNED_NAMES = {
    "RunSQL": "raw SQL",
    "RawSQL": "raw SQL",
    "Window": "raises on MongoDB",
    "FilteredRelation": "MongoDB leaves its condition out",
    "AutoField": "MongoDB has no counters",
    "BigAutoField": "MongoDB has no counters",
    "GeneratedField": "MongoDB has no generated columns",
    "CompositePrimaryKey": "MongoDB has no composite keys",
}
BANNED_METHODS = {
    "raw": "raw SQL",
    "extra": "raw SQL",
    "select_for_update": "does nothing on MongoDB and SQLite",
    "cursor": "raw SQL",
}
BANNED_ARGUMENTS = {
    "ignore_conflicts": "raises on MongoDB",
    "update_conflicts": "raises on MongoDB",
    "db_default": "MongoDB has none",
}
BANNED_LOOKUPS = {
    "iexact": "store it lower-cased",
    "contained_by": "JSON containment differs",
    "has_key": "JSON keys differ",
    "has_keys": "JSON keys differ",
    "has_any_keys": "JSON keys differ",
}


@dataclass(frozen=True)
class Finding:
    """One line that would work on one database only."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def source_files() -> list[Path]:
    """The project's Python files, without the tests; generated migrations of contrib apps included."""
    return sorted(
        path for app in APPS for path in (PROJECT / app).rglob("*.py") if path != PROJECT / NAMES_WHAT_IT_FORBIDS
    )


def scan(path: Path) -> list[Finding]:
    """The findings of one file."""
    name = path.relative_to(PROJECT).as_posix()
    return scan_text(path.read_text(), name)


def scan_text(text: str, name: str) -> list[Finding]:
    """The findings of a module's source, `name` being its path in the project."""
    found: list[Finding] = []
    tree = ast.parse(text)
    querysets = _queryset_names(tree)
    for node in ast.walk(tree):
        found += [Finding(f"{name}:{getattr(node, 'lineno', 0)}", what) for what in _judge(node, name, querysets)]
    return found


def _judge(node: ast.AST, name: str, querysets: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom) and name not in MAY_USE_TRANSACTIONS:
        yield from _judge_import(node)
    if isinstance(node, ast.Call):
        yield from _judge_call(node, querysets)
    named = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    if named in BANNED_NAMES:
        yield f"{named}: {BANNED_NAMES[named]}"


def _judge_import(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    names = {f"{module}.{alias.name}" if module else alias.name for alias in node.names}
    if module == "django.db.transaction" or names & {"django.db.transaction"}:
        yield "django.db.transaction: use partner_platform.core.database.transactions"
    if module.startswith("django_mongodb_backend.transaction"):
        yield "the MongoDB backend's own transactions: use partner_platform.core.database.transactions"


def _judge_call(node: ast.Call, querysets: set[str]) -> Iterator[str]:
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if method in BANNED_METHODS:
        yield f".{method}(): {BANNED_METHODS[method]}"
    if method == "distinct" and node.args:
        yield '.distinct("field"): PostgreSQL only'
    for argument in node.keywords:
        parts = (argument.arg or "").split("__")
        if argument.arg in BANNED_ARGUMENTS:
            yield f"{argument.arg}: {BANNED_ARGUMENTS[argument.arg]}"
        if len(parts) > 1 and parts[-1] in BANNED_LOOKUPS:
            yield f"{argument.arg}: {BANNED_LOOKUPS[parts[-1]]}"
        if len(parts) > 1 and parts[-1] == "in" and _is_sliced_queryset(argument.value, querysets):
            yield f"{argument.arg} with a slice: take the keys first"


def _is_sliced_queryset(value: ast.expr, querysets: set[str]) -> bool:
    """True for `rows[:10]` of a queryset, not for `list(rows[:10])` nor for a list's slice."""
    if not (isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Slice)):
        return False
    return isinstance(value.value, ast.Call) or (isinstance(value.value, ast.Name) and value.value.id in querysets)


def _queryset_names(tree: ast.AST) -> set[str]:
    """The names a module assigns `Model.objects…` to."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _begins_at_objects(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _begins_at_objects(value: ast.expr) -> bool:
    """True for `Model.objects.filter(…).order_by(…)`, not for `list(Model.objects…)`."""
    while isinstance(value, ast.Call | ast.Attribute):
        if isinstance(value, ast.Attribute) and value.attr in ("objects", "_base_manager", "_default_manager"):
            return True
        value = value.func if isinstance(value, ast.Call) else value.value
    return False
