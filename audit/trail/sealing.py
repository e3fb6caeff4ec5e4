"""The sealer: puts committed entries into the next blocks of the chain, within seconds, in batches.

A block is one transaction: its insert, and one guarded update that marks its entries. A killed sealer leaves nothing
behind. Of two concurrent sealers one is refused by the unique block number; the lock only avoids the collision.
Entries whose mac is wrong are sealed as they are, with an incident in the trail: leaving them out would hide them.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import IntegrityError
from django.db.models import QuerySet

from audit import selectors, services
from audit.models import AuditBlock, AuditEntry
from audit.trail import reading, witness
from audit.trail.canonical import FIRST_PREVIOUS, block_hash, canonical_json
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.redis import lock

logger = logging.getLogger(__name__)

BLOCK_SIZE = 500
LOCK_SECONDS = 60
ACTOR = "system:sealer"
# Entries of the trail about the trail; `verify_audit` shows each.
ENTRY_VANISHED = "audit.incident.entry_vanished"
ENTRY_FORGED = "audit.incident.entry_forged"
BLOCKS_VANISHED = "audit.incident.blocks_vanished"


class SealConflict(Exception):
    """Another sealer took these entries; nothing was written."""


@dataclass(frozen=True)
class SealReport:
    """What one run did; `busy` where another sealer is running."""

    busy: bool = False
    blocks: int = 0
    entries: int = 0


def seal_due(*, max_blocks: int = 40) -> SealReport:
    """Seal what waits, at most `max_blocks` blocks."""
    with lock.held("audit-sealer", seconds=LOCK_SECONDS, without_redis=True) as is_ours:
        if not is_ours:
            return SealReport(busy=True)
        return _seal(max_blocks)


def _seal(max_blocks: int) -> SealReport:
    _check_head()
    _check_committed()
    blocks = entries = 0
    while blocks < max_blocks:
        try:
            block = run_in_transaction(_seal_next)
        except (IntegrityError, SealConflict) as error:
            logger.info("another sealer was faster: %s", error)
            return SealReport(busy=True, blocks=blocks, entries=entries)
        if block is None:
            break
        witness.remember_head(block.number, block.hash)
        logger.info("audit block %d sealed: %d entries, hash %s", block.number, block.size, block.hash)
        blocks, entries = blocks + 1, entries + block.size
        if block.size < BLOCK_SIZE:
            break
    return SealReport(blocks=blocks, entries=entries)


def _seal_next() -> AuditBlock | None:
    """The next block, of the entries that wait the longest; None where none waits."""
    waiting = reading.unsealed(limit=BLOCK_SIZE)
    forged = [entry for entry in waiting if not entry.has_valid_mac()]
    for entry in forged:
        _report_once(ENTRY_FORGED, f"audit_entry:{entry.id}", {"digest": entry.digest, "mac": entry.mac})
    stored = [entry for entry in waiting if entry.has_key()]
    if not stored:
        return None
    block = make_block(selectors.newest_block(), [(entry.id, entry.digest) for entry in stored])
    block.save(force_insert=True)
    unmarked: QuerySet[AuditEntry] = QuerySet(AuditEntry).filter(pk__in=[entry.id for entry in stored], block=0)
    if unmarked.update(block=block.number) != len(stored):
        raise SealConflict(f"block {block.number}: its entries are not what they were")
    return block


def make_block(previous: AuditBlock | None, members: Sequence[tuple[str, str]]) -> AuditBlock:
    """The unsaved block that follows `previous` with these members (id as hex, digest)."""
    block = AuditBlock(
        number=previous.number + 1 if previous else 1,
        first_sequence=previous.last_sequence + 1 if previous else 1,
        size=len(members),
        members=[list(member) for member in members],
        previous_hash=previous.hash if previous else FIRST_PREVIOUS,
    )
    block.hash = block_hash(
        [
            block.pk,
            block.number,
            block.first_sequence,
            block.size,
            canonical_json(block.members),
            block.previous_hash,
            block.sealed_at,
        ]
    )
    return block


def _check_committed() -> None:
    """Entries that Redis noted as committed must be in the database; a missing one was deleted before it was sealed."""
    noted = witness.committed(limit=BLOCK_SIZE * 4)
    if not noted:
        return
    present = selectors.present_ids(noted)
    for entry_id in noted:
        if entry_id not in present:
            _report_once(ENTRY_VANISHED, f"audit_entry:{entry_id}", None)
    witness.forget_committed(noted)


def _check_head() -> None:
    """The block that Redis remembers must still exist with its hash. Read Redis first, because the database is ahead of
    it.
    """
    remembered = witness.remembered_head()
    if remembered is None or selectors.has_block(number=remembered.number, block_hash=remembered.hash):
        return
    newest = selectors.newest_block()
    found = {"number": newest.number, "hash": newest.hash} if newest else None
    _report_once(BLOCKS_VANISHED, f"audit_block:{remembered.number}", {"hash": remembered.hash}, {"newestBlock": found})


def _report_once(action: str, target: str, before: dict[str, object] | None, after: object = None) -> None:
    if not selectors.changes_of(target).filter(action=action).exists():
        logger.error("%s %s", action, target)
        services.record_change(actor=ACTOR, action=action, target=target, before=before, after=after)  # type: ignore[arg-type]
