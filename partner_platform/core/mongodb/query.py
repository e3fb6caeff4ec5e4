"""The pipeline sent to the server, with the sort where an index can serve it."""

from typing import Any

from django_mongodb_backend import query


class MongoQuery(query.MongoQuery):
    """The backend's query; the stock one sorts after it projected, which no index can serve: lists sorted in memory."""

    def get_pipeline(self) -> list[dict[str, object]]:
        return sort_early(super().get_pipeline())


def sort_early(pipeline: list[dict[str, Any]]) -> list[dict[str, object]]:
    """Move `$sort`, `$skip` and `$limit` before stages that only pass the sort's keys on: the result is the same."""
    start = next((number for number, stage in enumerate(pipeline) if "$sort" in stage), None)
    if start is None:
        return pipeline
    keys = set(pipeline[start]["$sort"])
    end = start + 1
    while end < len(pipeline) and pipeline[end].keys() <= {"$skip", "$limit"}:
        end += 1
    first = start
    while first > 0 and _passes_on(pipeline[first - 1], keys):
        first -= 1
    moved = [stage for stage in pipeline[first:start] if not _changes_nothing(stage)]
    return [*pipeline[:first], *pipeline[start:end], *moved, *pipeline[end:]]


def _passes_on(stage: dict[str, Any], keys: set[str]) -> bool:
    """True where the stage neither computes nor drops any of the fields `keys`."""
    if "$project" in stage:
        return all(_is_same(stage["$project"].get(key), key) for key in keys)
    if "$addFields" in stage:
        return all(key not in stage["$addFields"] or _is_same(stage["$addFields"][key], key) for key in keys)
    return False


def _changes_nothing(stage: dict[str, Any]) -> bool:
    return "$addFields" in stage and all(_is_same(value, key) for key, value in stage["$addFields"].items())


def _is_same(value: object, key: str) -> bool:
    return value in (1, f"${key}") and "." not in key
