"""A sensitive change, as the service that makes it describes it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.utils.crypto import salted_hmac

from authority.acting import Staff
from authority.rights import Right

# The fields of a change, and columns of its row, that the digest covers beside who asked.
DIGESTED = ("kind", "target", "rights", "before", "after", "arguments", "basis")


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

    def digest(self, maker: Staff) -> str:
        """The digest of the change as this person asks for it: of everything but the impact and their reason."""
        return digest_of_change(maker, maker.account, {name: getattr(self, name) for name in DIGESTED})


def digest_of_change(maker: str, account: str, fields: Mapping[str, object]) -> str:
    """HMAC-SHA256 (hex) with a key derived from DJANGO_SECRET_KEY: who can only write rows cannot make one.

    `fields` are those of `DIGESTED`, whatever the order of their keys.
    """
    parts = [str(maker), account, {**fields, "rights": sorted(str(right) for right in _list(fields["rights"]))}]
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return salted_hmac("authority.approvals.changes", text, algorithm="sha256").hexdigest()


def _list(value: object) -> list[object]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is no list")
    return list(value)
