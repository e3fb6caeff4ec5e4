"""Asking the engine's planner: does a query find its rows by an index, and in order?"""

import json
from collections.abc import Iterator
from typing import Any

from django.db import connection
from django.db.models import QuerySet


def assert_uses_index(query: QuerySet[Any], *, sorts: bool = False, index: str | None = None) -> None:
    """Fail where the planner would read a whole table or a whole index, or (unless `sorts`) sort what it found.

    `sorts=True` is for queries whose result is small whatever the table holds; `index` names the index that must serve,
    where another would find the rows too, among many others (PostgreSQL chooses by statistics, and a test has none).
    """
    # With so few rows as a test has, PostgreSQL prefers to scan and to sort; it is told not to, where it can avoid it.
    problems, plan = {"sqlite": _sqlite, "postgresql": _postgres, "mongodb": _mongodb}[connection.vendor](query)
    if sorts:
        problems = [problem for problem in problems if problem != "sort"]
    if index is not None and connection.vendor != "postgresql" and index not in plan:
        problems.append(f"not by {index}")
    assert not problems, f"{problems} in the plan of {query.query}:\n{plan}"


def _sqlite(query: QuerySet[Any]) -> tuple[list[str], str]:
    plan = query.explain()
    problems = []
    for line in plan.splitlines():
        if "SCAN " in line:
            problems.append("scan")
        if "TEMP B-TREE FOR" in line and line.endswith("ORDER BY"):  # of all terms, the last, or "RIGHT PART"
            problems.append("sort")
    return problems, plan


def _postgres(query: QuerySet[Any]) -> tuple[list[str], str]:
    names = ("enable_seqscan", "enable_bitmapscan", "enable_sort")
    with connection.cursor() as cursor:
        for name in names:
            cursor.execute(f"SET {name} = off")
        try:
            plan = query.explain(format="json")
        finally:
            for name in names:
                cursor.execute(f"RESET {name}")
    problems = []
    for node in _nodes(json.loads(plan) if isinstance(plan, str) else plan):
        kind = node.get("Node Type", "")
        if kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in node):
            problems.append("scan")
        if kind in ("Sort", "Incremental Sort"):
            problems.append("sort")
    return problems, plan


def _mongodb(query: QuerySet[Any]) -> tuple[list[str], str]:
    plan = json.loads(query.explain())
    problems = []
    for node in _nodes(_winning_plans(plan)):
        stage = node.get("stage")
        is_whole_index = stage == "IXSCAN" and _is_unbounded(node)
        if stage == "COLLSCAN" or is_whole_index or node.get("strategy") == "NestedLoopJoin":
            problems.append("scan")
        if stage == "SORT":
            problems.append("sort")
    if any("$sort" in node for node in _nodes(plan.get("stages", []))):
        problems.append("sort")
    return problems, json.dumps(plan.get("stages") or plan.get("queryPlanner"), indent=1)


def _winning_plans(plan: Any) -> list[Any]:
    return [node["winningPlan"] for node in _nodes(plan) if "winningPlan" in node]


def _is_unbounded(scan: dict[str, Any]) -> bool:
    bounds = next(iter(scan["indexBounds"].values()))
    return bounds in (["[MinKey, MaxKey]"], ["[MaxKey, MinKey]"])


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, dict):
        yield plan
        plan = list(plan.values())
    if isinstance(plan, list):
        for part in plan:
            yield from _nodes(part)
