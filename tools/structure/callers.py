"""Symbols that nothing but tests uses: functions, classes and constants of modules, and methods of plain classes.

A use is found where a name is read, with what its module imported followed to the definition; where a string names it
by its dotted path, as settings do; and for methods wherever an attribute or a string has the name. Methods of classes
with a base outside the project are not looked at: a framework may call them.
"""

import ast
import re
from collections.abc import Iterator
from functools import cached_property

from tools.structure.rules import Rules
from tools.structure.sources import FUNCTIONS, Definition, Source

_DOTTED = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
# Decorators that hand what they decorate to a framework, which then calls it.
_REGISTERING = {"receiver", "register", "connect"}
# Classes that a framework finds by where they are defined.
_FOUND = {
    "AppConfig",
    "BaseCommand",
    "StaffCommand",
    "JsonCommand",
    "OpenApiAuthenticationExtension",
    "OpenApiSerializerExtension",
}
# Names that Django, Celery, pytest or a WSGI server look for in a module.
_LOOKED_FOR = re.compile(
    r"application|app|urlpatterns|handler[45]\d\d|SessionStore|DatabaseWrapper|SQL\w*Compiler|pytest_\w+|main"
)
# Modules whose constants Django reads.
_SETTINGS = re.compile(r"(^|[._])settings(\.|$)")


def uncalled(sources: list[Source], texts: list[str], rules: Rules) -> Iterator[str]:
    """`texts` are other files that may name symbols: Makefile, templates, configuration."""
    uses = Uses(sources, texts)
    known = set()
    for source in sources:
        for name, node in _symbols(source):
            symbol = f"{source.module}.{name}"
            known.add(symbol)
            if symbol not in rules.called and not uses.has(symbol, node):
                yield f"uncalled {symbol}: nothing outside tests uses it"
    for symbol in rules.called:
        if symbol not in known:
            yield f"exception {symbol}: there is no such symbol; remove it from rules.toml"


class Uses:
    """Where symbols are used. A use inside the symbol's own definition is none."""

    def __init__(self, sources: list[Source], texts: list[str]) -> None:
        self.sources = {source.module: source for source in sources}
        self.texts = texts

    def has(self, symbol: str, node: ast.AST) -> bool:
        own = {id(part) for part in ast.walk(node)}
        places = self.attributes if isinstance(node, FUNCTIONS) and symbol not in self._module_level else self.symbols
        name = symbol.rpartition(".")[2] if places is self.attributes else symbol
        return any(place not in own for place in places.get(name, ()))

    @cached_property
    def _module_level(self) -> set[str]:
        return {f"{s.module}.{node.name}" for s in self.sources.values() for node in s.definitions()}

    @cached_property
    def symbols(self) -> dict[str, set[int]]:
        """By dotted path: the nodes (their ids) that use it; 0 for a text."""
        found: dict[str, set[int]] = {}
        for source in self.sources.values():
            for node in source.nodes:
                for dotted in self._dotted(source, node):
                    found.setdefault(self.definition(dotted), set()).add(id(node))
        for text in self.texts:
            for match in _DOTTED.findall(text):
                found.setdefault(self.definition(match.replace(":", ".")), set()).add(0)
        return found

    @cached_property
    def attributes(self) -> dict[str, set[int]]:
        """By bare name: the attributes and strings that have it."""
        found: dict[str, set[int]] = {}
        for source in self.sources.values():
            for node in source.nodes:
                if isinstance(node, ast.Attribute):
                    found.setdefault(node.attr, set()).add(id(node))
                for word in re.findall(r"\w+", _string(node)):
                    found.setdefault(word, set()).add(id(node))
        return found

    def definition(self, dotted: str) -> str:
        """Where a dotted path leads to: its module and symbol, through what packages import to pass on."""
        for _ in range(8):
            module, _, rest = self._split(dotted)
            name = rest.partition(".")[0]
            passed_on = self._imported.get(module, {}).get(name)
            if not passed_on:
                return f"{module}.{name}" if name else dotted
            dotted = passed_on
        return dotted

    def _split(self, dotted: str) -> tuple[str, str, str]:
        module = dotted
        while module and module not in self.sources:
            module = module.rpartition(".")[0]
        return module, ".", dotted[len(module) + 1 :] if module else dotted

    def _dotted(self, source: Source, node: ast.AST) -> Iterator[str]:
        names = self._imported[source.module]
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield names.get(node.id, f"{source.module}.{node.id}")
        elif isinstance(node, ast.Attribute) and (chain := _chain(node)):
            head, *rest = chain
            if head in names:
                yield ".".join([names[head], *rest])
        for match in _DOTTED.findall(_string(node)):
            yield match.replace(":", ".")
            # Annotations in quotation marks and expressions for Celery and Django name modules as they were imported.
            head, _, rest = match.partition(".")
            yield f"{names.get(head, head)}.{rest}"

    @cached_property
    def _imported(self) -> dict[str, dict[str, str]]:
        """By module: what its imports call the things of other modules."""
        return {name: dict(_imports(source)) for name, source in self.sources.items()}


def _imports(source: Source) -> Iterator[tuple[str, str]]:
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom):
            parts = source.package.split(".")
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            for alias in node.names:
                yield alias.asname or alias.name, f"{origin}.{alias.name}"


def _symbols(source: Source) -> Iterator[tuple[str, ast.AST]]:
    for node in source.definitions():
        if not _is_handed_over(node):
            yield node.name, node
        if isinstance(node, ast.ClassDef) and _is_plain(node):
            yield from ((f"{node.name}.{method.name}", method) for method in _methods(node))
    if not _SETTINGS.search(source.module):
        yield from ((name, node) for name, node in _constants(source) if not _LOOKED_FOR.fullmatch(name))


def _is_handed_over(node: Definition) -> bool:
    names = {_name(decorator) for decorator in node.decorator_list}
    if isinstance(node, ast.ClassDef):
        names |= {_name(base) for base in node.bases}
    return bool(names & (_REGISTERING | _FOUND)) or bool(_LOOKED_FOR.fullmatch(node.name))


def _is_plain(node: ast.ClassDef) -> bool:
    return not [base for base in node.bases if _name(base) not in ("Protocol", "ABC", "Enum", "StrEnum", "IntEnum")]


def _methods(node: ast.ClassDef) -> Iterator[Definition]:
    for method in node.body:
        if isinstance(method, FUNCTIONS) and not method.name.startswith("__"):
            yield method


def _constants(source: Source) -> Iterator[tuple[str, ast.AST]]:
    for node in source.tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("__"):
                yield target.id, node


def _chain(node: ast.expr) -> list[str] | None:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (head := _chain(node.value)):
        return [*head, node.attr]
    return None


def _name(node: ast.expr) -> str:
    """The last name of `a.b.register(…)`, `a.register` or `register`; of `Base[T]`, Base."""
    while isinstance(node, ast.Call | ast.Subscript):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _string(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
