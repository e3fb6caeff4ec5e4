"""Public names that two modules define: a reader who meets one cannot know which is meant."""

import ast
from collections import defaultdict
from collections.abc import Iterator

from tools.structure.rules import Rules
from tools.structure.sources import Definition, Source

# The classes of which Django wants one in each database backend, by these names.
_BACKEND = {"DatabaseWrapper", "DatabaseOperations", "DatabaseSchemaEditor", "DatabaseFeatures", "DatabaseCreation"}


def twins(sources: list[Source], rules: Rules) -> Iterator[str]:
    """Each name once, with the modules that define it; exceptions that are no longer needed."""
    homes = defaultdict(list)
    for source in sources:
        for node in source.definitions():
            if not node.name.startswith("_") and not _is_demanded(source, node):
                homes[node.name].append(source.module)
    for name, modules in sorted(homes.items()):
        if len(modules) > 1 and name not in rules.twins:
            yield f"twin name {name}: {', '.join(modules)}"
    for name in rules.twins:
        if len(homes.get(name, ())) < 2:
            yield f"exception {name}: it is defined once at most; remove it from rules.toml"


def _is_demanded(source: Source, node: Definition) -> bool:
    """Whether a framework looks for this very name in this very place."""
    if node.name == "main":
        return isinstance(node, ast.FunctionDef)  # what a program begins with
    if node.name == "Command":
        return "/management/commands/" in source.path
    return isinstance(node, ast.ClassDef) and node.name in _BACKEND
