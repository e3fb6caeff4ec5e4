"""What breaks callers between two versions of a JSON Schema, in requests (narrowed) or in answers (widened)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Schema = dict[str, Any]
ALL_TYPES = frozenset({"null", "boolean", "integer", "number", "string", "object", "array"})
LOWER, UPPER = ("minimum", "minLength", "minItems"), ("maximum", "maxLength", "maxItems")
# Callers who do not know an error's code act on its status.
MAY_GROW = "code"


class Direction(Enum):
    """Who writes what the schema describes: the caller, or we."""

    REQUEST = "request"
    ANSWER = "answer"


@dataclass
class Schemas:
    """Both documents, for their references."""

    old: Schema
    new: Schema
    _seen: set[tuple[str, str, Direction]] = field(default_factory=set)

    def resolve(self, node: Schema, version: str) -> Schema:
        """What the node refers to, or itself; `allOf` as one schema."""
        while "$ref" in node:
            found: Any = self.old if version == "old" else self.new
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        if "allOf" in node:
            merged = {name: value for name, value in node.items() if name != "allOf"}
            for part in node["allOf"]:
                merged = _merged(merged, self.resolve(part, version))
            return merged
        return node

    def by_name(self, parameters: list[Schema], version: str) -> dict[tuple[str, str], Schema]:
        """Parameters by place and name."""
        resolved = [self.resolve(parameter, version) for parameter in parameters]
        return {(parameter["in"], parameter["name"]): parameter for parameter in resolved}

    def is_being_compared(self, old: Schema, new: Schema, direction: Direction) -> bool:
        """True where these two references were met before: a schema may hold itself."""
        if "$ref" not in old or "$ref" not in new:
            return False
        key = (old["$ref"], new["$ref"], direction)
        known = key in self._seen
        self._seen.add(key)
        return known


def _merged(one: Schema, other: Schema) -> Schema:
    both = {**one, **other}
    if "properties" in one and "properties" in other:
        names = [*one["properties"], *other["properties"]]
        both["properties"] = {
            name: {**one["properties"].get(name, {}), **other["properties"].get(name, {})} for name in names
        }
    both["required"] = [*one.get("required", []), *other.get("required", [])]
    return both


def schema_changes(name: str, old: Schema, new: Schema, *, direction: Direction, schemas: Schemas) -> Iterator[str]:
    """One sentence for each break; `name` begins it."""
    if schemas.is_being_compared(old, new, direction):
        return
    comparison = _Comparison(name, schemas.resolve(old, "old"), schemas.resolve(new, "new"), direction, schemas)
    yield from comparison.changes()


@dataclass
class _Comparison:
    name: str
    old: Schema
    new: Schema
    direction: Direction
    schemas: Schemas

    def changes(self) -> Iterator[str]:
        if any(kind in schema for kind in ("oneOf", "anyOf") for schema in (self.old, self.new)):
            yield from self._alternatives()
            return
        yield from self._types()
        yield from self._values()
        yield from self._bounds()
        yield from self._properties()
        if "items" in self.old and "items" in self.new:
            yield from self._inside(f"{self.name}[]", self.old["items"], self.new["items"])

    @property
    def _is_request(self) -> bool:
        return self.direction is Direction.REQUEST

    def _inside(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        yield from schema_changes(name, old, new, direction=self.direction, schemas=self.schemas)

    def _alternatives(self) -> Iterator[str]:
        """Whatever could be sent can still be sent; whatever can be answered could be answered before."""
        before, after = _alternatives_of(self.old), _alternatives_of(self.new)
        known, asked = (after, before) if self._is_request else (before, after)
        for one in asked:
            pairs = [(one, other) if self._is_request else (other, one) for other in known]
            if all(list(self._fresh(*pair)) for pair in pairs):
                yield f"{self.name}: an alternative is {'gone' if self._is_request else 'new'} or changed"

    def _fresh(self, old: Schema, new: Schema) -> Iterator[str]:
        schemas = Schemas(self.schemas.old, self.schemas.new)
        yield from schema_changes(self.name, old, new, direction=self.direction, schemas=schemas)

    def _types(self) -> Iterator[str]:
        before, after = _types_of(self.old), _types_of(self.new)
        lost = before - after if self._is_request else after - before
        if lost:
            verb = "no longer takes" if self._is_request else "may be"
            yield f"{self.name} {verb} {', '.join(sorted(lost))}"

    def _values(self) -> Iterator[str]:
        before, after = _values_of(self.old), _values_of(self.new)
        smaller, larger = (after, before) if self._is_request else (before, after)
        if smaller is None or (not self._is_request and self.name.endswith(f".{MAY_GROW}")):
            return
        verb = "no longer takes" if self._is_request else "may be"
        if larger is None:
            yield f"{self.name} {verb} other values than {', '.join(sorted(smaller))}"
        elif larger - smaller:
            yield f"{self.name} {verb} {', '.join(sorted(larger - smaller))}"

    def _bounds(self) -> Iterator[str]:
        tight, loose = (self.new, self.old) if self._is_request else (self.old, self.new)
        for bound in (*LOWER, *UPPER):
            if bound in tight and _is_tighter(bound, tight[bound], loose.get(bound)):
                yield f"{self.name}: {bound} was {self.old.get(bound)} and is {self.new.get(bound)}"
        for rule in ("pattern", "format"):
            if tight.get(rule) not in (None, loose.get(rule)):
                yield f"{self.name}: {rule} was {self.old.get(rule)} and is {self.new.get(rule)}"

    def _properties(self) -> Iterator[str]:
        before, after = self.old.get("properties", {}), self.new.get("properties", {})
        for field_name in before:
            if field_name in after:
                yield from self._inside(f"{self.name}.{field_name}", before[field_name], after[field_name])
            elif not self._is_request or self.new.get("additionalProperties") is False:
                yield f"{self.name}.{field_name} is gone"
        old_required, new_required = set(self.old.get("required", [])), set(self.new.get("required", []))
        if self._is_request:
            yield from (f"{self.name}.{each} is required now" for each in sorted(new_required - old_required))
            if self.new.get("additionalProperties") is False and self.old.get("additionalProperties") is not False:
                yield f"{self.name} refuses other fields now"
        else:
            optional = (old_required - new_required) & set(after)
            yield from (f"{self.name}.{each} may be missing now" for each in sorted(optional))


def _alternatives_of(schema: Schema) -> list[Schema]:
    return [*schema.get("oneOf", []), *schema.get("anyOf", [])] or [schema]


def _types_of(schema: Schema) -> set[str]:
    kind = schema.get("type")
    if kind is None:
        return set(ALL_TYPES)
    found = {kind} if isinstance(kind, str) else set(kind)
    return found | {"integer"} if "number" in found else found


def _values_of(schema: Schema) -> set[str] | None:
    if "const" in schema:
        return {repr(schema["const"])}
    return {repr(value) for value in schema["enum"]} if "enum" in schema else None


def _is_tighter(bound: str, value: float, other: float | None) -> bool:
    if other is None:
        return True
    return value > other if bound in LOWER else value < other
