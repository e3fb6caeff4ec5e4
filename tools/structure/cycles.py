"""Import cycles between modules, found in grimp's graph of imports."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import grimp


def import_cycles(root: Path) -> Iterator[str]:
    """Imports inside functions and those for type checkers alone count too."""
    packages = sorted(path.parent.name for path in root.glob("*/__init__.py") if path.parent.name != "tests")
    graph = grimp.build_graph(*packages, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)}
    for knot in strongly_connected(imports):
        first, *others = sorted(knot)
        yield f"import cycle of {first}: with {', '.join(others)}"


def strongly_connected(edges: Mapping[str, Iterable[str]]) -> Iterator[set[str]]:
    """Sets of two or more nodes that all reach each other."""
    reach = {node: _reachable(node, edges) for node in edges}
    seen: set[str] = set()
    for node in edges:
        knot = {other for other in reach[node] if node in reach.get(other, ())}
        if node not in seen and len(knot) > 1:
            seen |= knot
            yield knot


def _reachable(start: str, edges: Mapping[str, Iterable[str]]) -> set[str]:
    reached: set[str] = set()
    waiting = list(edges.get(start, ()))
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += edges.get(node, ())
    return reached
