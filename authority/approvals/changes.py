"""A sensitive change, as the service that makes it describes it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from authority.rights import Right


@dataclass(frozen=True, kw_only=True)
class SensitiveChange:
    """What is to be changed. All values are JSON, amounts as strings of base units; no secret is among them.

    `kind` is one of `authority.approvals.kinds`, `target` is `kind:id` as in the audit trail. `rights` are those that
    the change needs of who makes it and of who approves it. `impact` tells who decides what hangs on it, and may move
    while the change waits. `arguments` are what the kind makes the change with. `basis` is compared at approval like
    `before` and `after`, and not shown.
    """

    kind: str
    target: str
    rights: tuple[Right, ...]
    before: Mapping[str, object]
    after: Mapping[str, object]
    arguments: Mapping[str, object]
    impact: str = ""
    basis: Mapping[str, object] = field(default_factory=dict)

    def digest(self) -> str:
        """SHA-256 (hex) of everything but the impact."""
        parts = [self.kind, self.target, sorted(self.rights), self.before, self.after, self.arguments, self.basis]
        return sha256_of(parts)


def sha256_of(value: object) -> str:
    """SHA-256 (hex) of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
