"""What breaks callers between two versions of the OpenAPI schema: `python -m tools.openapi_changes OLD NEW`.

A request may be taken more widely and an answer may say more, never the reverse. Two exceptions: an answer may gain
fields, which callers are told to pass over, and errors may gain codes and statuses, for callers who do not know a code
act on its status. A break is allowed where the major version rises.

The tools that do this are not to be had here: oasdiff and openapi-changes are Go programs outside pip and npm (npm's
`@pb33f/openapi-changes` downloads its program when it is installed), npm's openapi-diff knows no OpenAPI 3.1.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.json_schema_changes import Direction, Schemas, schema_changes

COMMITTED = "docs/openapi.json"
# Breaks that were decided on, by their sentences, each with its reason.
AGREED = {
    # A repayment that fails after its 202 could not be read anywhere; the loan it led to did not mention it.
    (
        "POST /partners/repay: answer 202: header Location: pattern was ^/partners/loan/[A-Za-z0-9_-]{1,64}$ and is "
        "^/partners/repayments/[0-9a-f-]{36}$"
    ),
}
PROJECT = Path(__file__).resolve().parent.parent
Schema = dict[str, Any]


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """One sentence for each change that breaks a caller of `old`, but for those `AGREED`; none where the major version
    rose.
    """
    if _major(new) > _major(old):
        return []
    return [sentence for sentence in _changes(old, new) if sentence not in AGREED]


def last_committed(count: int = 2) -> list[Schema]:
    """The schema as of the last commits that changed it, the newest first; fewer where there is less history."""
    revisions = _git("log", f"-n{count}", "--format=%H", "--", COMMITTED).split()
    return [json.loads(_git("show", f"{revision}:{COMMITTED}")) for revision in revisions]


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout


def _major(schema: Schema) -> int:
    return int(schema["info"]["version"].split(".")[0])


def _changes(old: Schema, new: Schema) -> Iterator[str]:
    for path, item in old["paths"].items():
        if path not in new["paths"]:
            yield f"{path}: the path is gone"
            continue
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            if method not in new["paths"][path]:
                yield f"{name}: the operation is gone"
            else:
                yield from _Operation(name, old, new).changes(operation, new["paths"][path][method])
    for kind, item in old.get("webhooks", {}).items():
        if kind not in new.get("webhooks", {}):
            yield f"webhook {kind}: it is gone"
            continue
        for method, operation in item.items():
            yield from _Operation(f"webhook {kind}", old, new).sent_changes(operation, new["webhooks"][kind][method])


class _Operation:
    """One operation in both versions."""

    def __init__(self, name: str, old: Schema, new: Schema) -> None:
        self._name, self._schemas = name, Schemas(old, new)

    def changes(self, old: Schema, new: Schema) -> Iterator[str]:
        """Every break between them."""
        if old["operationId"] != new["operationId"]:
            yield f"{self._name}: its id was {old['operationId']} and is {new['operationId']}"
        yield from self._security(old.get("security", []), new.get("security", []))
        yield from self._parameters(old.get("parameters", []), new.get("parameters", []))
        yield from self._body(old.get("requestBody", {}), new.get("requestBody", {}))
        yield from self._answers(old["responses"], new["responses"])

    def sent_changes(self, old: Schema, new: Schema) -> Iterator[str]:
        """Every break between two forms of a webhook: we write it, callers read it."""
        before = self._schemas.by_name(old.get("parameters", []), "old")
        after = self._schemas.by_name(new.get("parameters", []), "new")
        for key, header in before.items():
            name = f"{self._name}: header {header['name']}"
            if key not in after:
                yield f"{name} is gone"
                continue
            if header.get("required") and not after[key].get("required"):
                yield f"{name} may be missing now"
            yield from self._compare(name, header["schema"], after[key]["schema"], Direction.ANSWER)
        yield from self._contents(f"{self._name}: body", old["requestBody"], new["requestBody"], Direction.ANSWER)

    def _security(self, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        for way in old or [{}]:
            if not any(set(other) <= set(way) for other in new or [{}]):
                yield f"{self._name}: {' with '.join(way) or 'nothing'} no longer lets a caller in"

    def _parameters(self, old: list[Schema], new: list[Schema]) -> Iterator[str]:
        before, after = self._schemas.by_name(old, "old"), self._schemas.by_name(new, "new")
        for key, parameter in before.items():
            name = f"{self._name}: {parameter['in']} parameter {parameter['name']}"
            if key not in after:
                yield f"{name} is gone"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{name} is required now"
            yield from self._compare(name, parameter["schema"], after[key]["schema"], Direction.REQUEST)
        for key, parameter in after.items():
            if key not in before and parameter.get("required"):
                yield f"{self._name}: {parameter['in']} parameter {parameter['name']} is new and required"

    def _body(self, old: Schema, new: Schema) -> Iterator[str]:
        if new.get("required") and not old.get("required"):
            yield f"{self._name}: a body is required now"
        yield from self._contents(f"{self._name}: body", old, new, Direction.REQUEST)

    def _answers(self, old: Schema, new: Schema) -> Iterator[str]:
        for status, answer in old.items():
            name = f"{self._name}: answer {status}"
            if status not in new:
                yield f"{name} is gone"
                continue
            yield from self._headers(name, answer.get("headers", {}), new[status].get("headers", {}))
            yield from self._contents(name, answer, new[status], Direction.ANSWER)
        for status in new:
            if status not in old and status.startswith("2"):
                yield f"{self._name}: answer {status} is new, and no error"

    def _headers(self, name: str, old: Schema, new: Schema) -> Iterator[str]:
        for header, value in old.items():
            before = self._schemas.resolve(value, "old")
            if header not in new:
                yield f"{name}: header {header} is gone"
                continue
            after = self._schemas.resolve(new[header], "new")
            if before.get("required") and not after.get("required"):
                yield f"{name}: header {header} may be missing now"
            yield from self._compare(f"{name}: header {header}", before["schema"], after["schema"], Direction.ANSWER)

    def _contents(self, name: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        after = new.get("content", {})
        for media_type, content in old.get("content", {}).items():
            if media_type not in after:
                yield f"{name}: {media_type} is gone"
            else:
                yield from self._compare(name, content["schema"], after[media_type]["schema"], direction)

    def _compare(self, name: str, old: Schema, new: Schema, direction: Direction) -> Iterator[str]:
        yield from schema_changes(name, old, new, direction=direction, schemas=self._schemas)


def main(arguments: list[str]) -> int:
    """Print the breaks between two files, or between the last committed versions and the file as it is."""
    if len(arguments) == 2:
        olds, new = [json.loads(Path(arguments[0]).read_text())], json.loads(Path(arguments[1]).read_text())
    else:
        olds, new = last_committed(), json.loads((PROJECT / COMMITTED).read_text())
    found = [sentence for old in olds for sentence in breaking_changes(old, new)]
    sys.stdout.write("".join(f"{sentence}\n" for sentence in dict.fromkeys(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
