"""Reads entries and blocks as stored, column by column, without conversions that would hide a change; fast."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Expression, ExpressionWrapper, F, QuerySet, TextField
from django.db.models.functions import Cast

from audit.models import CHAINED_COLUMNS, HASHED_COLUMNS, AuditBlock, AuditEntry
from audit.trail.canonical import block_hash, entry_digest, entry_mac, plain_text
from audit.trail.keys import verifying_keys

_HEX_ID = re.compile(r"[0-9a-f]{32}")
_TIMES = ("timestamp", "sealed_at")
ROWS_AT_ONCE = 2_000
BLOCKS_AT_ONCE = 20


class StoredEntry(NamedTuple):
    """An entry's columns as the driver gave them; `id` as hex."""

    id: str
    action: str
    block: Any
    mac: str
    digest: str

    def has_valid_mac(self) -> bool:
        """True where one of our keys made its mac."""
        return any(entry_mac(self.digest, key) == self.mac for key in verifying_keys())

    def has_key(self) -> bool:
        """False where its id is malformed: on SQLite an id is text, and anything could have been written there."""
        return _HEX_ID.fullmatch(self.id) is not None


@dataclass(frozen=True)
class StoredBlock:
    """A block's columns, and the hash computed from them."""

    number: int
    first_sequence: int
    size: int
    members: str
    previous_hash: str
    hash: str
    computed_hash: str


def unsealed(*, limit: int) -> list[StoredEntry]:
    """Entries without a block, oldest first."""
    rows = _entries(AuditEntry.objects.filter(block=0).order_by("timestamp"))[:limit]
    return [_entry(row) for row in rows]


def all_unsealed() -> Iterator[StoredEntry]:
    """Every entry without a block."""
    return stream(AuditEntry.objects.filter(block=0))


def entries_of_blocks(first: int, last: int) -> Iterator[StoredEntry]:
    """The entries of these blocks, in the order of blocks."""
    return stream(entries_query(first, last))


def entries_query(first: int, last: int) -> QuerySet[AuditEntry]:
    """The query of `entries_of_blocks`, for the index tests too."""
    return AuditEntry.objects.filter(block__gte=first, block__lte=last).order_by("block")


def stream(found: QuerySet[AuditEntry]) -> Iterator[StoredEntry]:
    """The entries of a query one by one, never all in memory."""
    return (_entry(row) for row in _entries(found).iterator(chunk_size=ROWS_AT_ONCE))


def blocks(first: int, last: int) -> Iterator[StoredBlock]:
    """These blocks in order."""
    found = AuditBlock.objects.filter(number__gte=first, number__lte=last).order_by("number")
    rows = found.values_list(*(_as_stored(name) for name in CHAINED_COLUMNS), "hash")
    for row in rows.iterator(chunk_size=BLOCKS_AT_ONCE):
        _, number, first_sequence, size, members, previous_hash, _ = row[:-1]
        yield StoredBlock(
            number=number,
            first_sequence=_whole(first_sequence),
            size=_whole(size),
            members=members,
            previous_hash=previous_hash,
            hash=row[-1],
            computed_hash=_hash_or_none(row[:-1]),
        )


def _entries(found: QuerySet[AuditEntry]) -> Any:
    return found.values_list(*(_as_stored(name) for name in HASHED_COLUMNS), "mac", "block")


def _as_stored(name: str) -> Expression:
    if connection.vendor == "sqlite" and name in _TIMES:
        return Cast(name, TextField())  # by the declared type of a plain column, SQLite's driver itself would parse it
    # Another output field than the model's: its conversions are left out, the column is not.
    return ExpressionWrapper(F(name), output_field=TextField())


def _entry(row: tuple[Any, ...]) -> StoredEntry:
    columns = row[: len(HASHED_COLUMNS)]
    key = columns[0]
    try:
        digest = entry_digest(columns)
    except (TypeError, ValueError):
        digest = ""  # something is in a column that could never be written there
    return StoredEntry(
        id=str(plain_text(key)),
        action=str(columns[2]),
        block=row[-1],
        mac=row[-2],
        digest=digest,
    )


def _hash_or_none(columns: tuple[object, ...]) -> str:
    try:
        return block_hash(columns)
    except (TypeError, ValueError):
        return ""


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0  # on SQLite anything can be put into a column of numbers
