"""Checks one entry against its mac and its block, as `verify_audit` does for all; shown on the entry's page."""

from dataclasses import dataclass

from audit.models import AuditBlock, AuditEntry
from audit.trail import reading


@dataclass(frozen=True)
class EntryState:
    """`is_intact`, and in words why or why not; `sequence` is 0 where the entry has none."""

    is_intact: bool
    sequence: int
    text: str


def inspect_trail(entry: AuditEntry) -> EntryState:
    """The state of one stored entry. Says nothing of the rest of the chain."""
    stored = next(reading.stream(AuditEntry.objects.filter(pk=entry.pk)), None)
    if stored is None:
        return EntryState(is_intact=False, sequence=0, text="It is gone.")
    if not stored.has_valid_mac():
        return EntryState(is_intact=False, sequence=0, text="ALTERED or forged: no key of ours signed what is stored.")
    if not stored.block:
        return EntryState(is_intact=True, sequence=0, text="Signed; it waits for its seal.")
    return _in_block(stored)


def _in_block(stored: reading.StoredEntry) -> EntryState:
    block: AuditBlock | None = AuditBlock.objects.filter(number=stored.block).first()
    if block is None:
        return EntryState(is_intact=False, sequence=0, text=f"FORGED: there is no block {stored.block}.")
    for sequence, (key, digest) in enumerate(block.members, start=block.first_sequence):
        if key == stored.id:
            text = f"Sealed as entry {sequence} in block {block.number}, and unaltered."
            if digest != stored.digest:
                text = f"ALTERED: block {block.number} holds another digest of it."
            return EntryState(is_intact=digest == stored.digest, sequence=sequence, text=text)
    return EntryState(is_intact=False, sequence=0, text=f"FORGED: block {block.number} does not hold it.")
