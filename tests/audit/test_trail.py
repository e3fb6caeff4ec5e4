"""The trail of changes: sealed in blocks, and whatever is changed afterwards is found and named."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models import QuerySet

from audit.models import AppendOnlyError, AuditBlock, AuditEntry
from audit.services import digest_of_entry, record_change
from audit.trail import sealing, verification
from audit.trail.canonical import FIRST_PREVIOUS, entry_digest, entry_mac
from audit.trail.keys import signing_key
from audit.trail.ranges import TrailFinding
from audit.trail.verification import verify_trail
from partner_platform.core import context
from partner_platform.core.database.transactions import atomic
from tests.support.acting import staff

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[int], list[AuditEntry]]


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_SIZE", 3)
    monkeypatch.setattr(verification, "BLOCKS_A_TASK", 2)


def found() -> list[TrailFinding]:
    return verify_trail(with_anchors=False).findings


def named() -> list[tuple[str, int, str]]:
    return [(finding.kind, finding.sequence, finding.entry_id) for finding in found()]


def rows(model: Any, **where: Any) -> QuerySet[Any]:
    """A queryset that does not refuse."""
    return QuerySet(model).filter(**where)


def in_order() -> list[str]:
    """The ids of all sealed entries by their sequence numbers."""
    return [key for block in AuditBlock.objects.order_by("number") for key, _ in block.members]


def test_entries_are_sealed_in_blocks_that_follow_one_another(write: Write) -> None:
    entries = write(7)
    report = sealing.seal_due()
    assert (report.entries, report.blocks, report.busy) == (7, 3, False)
    first, second, third = AuditBlock.objects.order_by("number")
    assert (first.number, first.first_sequence, first.size, first.previous_hash) == (1, 1, 3, FIRST_PREVIOUS)
    assert (second.number, second.first_sequence, second.previous_hash) == (2, 4, first.hash)
    assert (third.number, third.first_sequence, third.size, third.previous_hash) == (3, 7, 1, second.hash)
    assert sorted(in_order()) == sorted(entry.pk.hex for entry in entries)
    assert sealing.seal_due().blocks == 0
    result = verify_trail(with_anchors=False)
    assert (result.findings, result.entries, result.blocks, result.unsealed) == ([], 7, 3, 0)
    assert result.head == third.hash


def test_an_entry_reads_as_it_was_written(write: Write) -> None:
    (entry,) = write(1)
    stored = AuditEntry.objects.get()
    assert (stored.before, stored.after) == (entry.before, entry.after)
    assert digest_of_entry(stored) == digest_of_entry(entry)


def test_a_change_that_is_rolled_back_leaves_no_entry(write: Write) -> None:
    with pytest.raises(RuntimeError), atomic():
        write(1)
        raise RuntimeError
    assert sealing.seal_due().entries == 0
    assert found() == []


def test_the_trail_refuses_changes_through_its_models(write: Write) -> None:
    (entry,) = write(1)
    for attempt in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(block=1),
    ):
        with pytest.raises(AppendOnlyError):
            attempt()
    sealing.seal_due()
    with pytest.raises(AppendOnlyError):
        AuditBlock.objects.all().delete()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("actor", "staff:user-9"),
        ("action", "partner.updatee"),
        ("target", "partner:9"),
        ("before", {"limit": "1", "name": "e"}),
        ("after", {"limit": "3", "nested": {"b": 1, "a": [None, True, 1.5]}}),
        ("after", {"limit": "2", "nested": {"b": 1, "a": [None, True, 1]}}),
        ("after", None),
        ("request_id", "x"),
        ("mac", "0" * 64),
        ("timestamp", dt.datetime(2026, 1, 5, 10, 30, tzinfo=dt.UTC)),
    ],
)
def test_an_edit_of_any_column_is_found_and_its_entry_named(write: Write, column: str, value: Any) -> None:
    write(7)
    sealing.seal_due()
    victim = in_order()[4]
    assert rows(AuditEntry, pk=victim).update(**{column: value}) == 1
    assert named() == [("edited", 5, victim)]


def test_an_edit_with_a_mac_made_anew_is_found_by_the_chain(write: Write) -> None:
    """Whoever holds our key too still cannot change what is sealed."""
    write(7)
    sealing.seal_due()
    victim = in_order()[4]
    entry = AuditEntry.objects.get(pk=victim)
    entry.actor = "staff:innocent"
    rows(AuditEntry, pk=victim).update(actor=entry.actor, mac=entry_mac(digest_of_entry(entry), signing_key()))
    assert named() == [("edited", 5, victim)]


def test_a_deletion_is_found_and_the_entry_named(write: Write) -> None:
    write(7)
    sealing.seal_due()
    victim = in_order()[2]
    rows(AuditEntry, pk=victim).delete()
    assert named() == [("deleted", 3, victim)]


@pytest.mark.parametrize("block", [1, 3, 99])
def test_an_insertion_is_found_and_the_entry_named(write: Write, block: int) -> None:
    write(7)
    sealing.seal_due()
    forged = AuditEntry(actor=staff("nobody"), action="loan.forgiven", target="loan:1", block=block)
    forged.mac = entry_mac(digest_of_entry(forged), signing_key())
    forged.save(force_insert=True)
    assert named() == [("inserted", 0, forged.pk.hex)]


def test_an_insertion_before_the_seal_without_our_key_is_found_and_stays_found(write: Write) -> None:
    write(1)
    AuditEntry(actor=staff("nobody"), action="loan.forgiven", target="loan:1", mac="0" * 64).save(force_insert=True)
    forged = AuditEntry.objects.get(actor=staff("nobody")).pk.hex
    assert named() == [("edited", 0, forged)]
    sealing.seal_due()
    sealing.seal_due()
    kinds = {(finding.kind, finding.text) for finding in found()}
    assert ("incident", "entry_forged") in kinds
    assert [finding.entry_id for finding in found() if finding.kind == "edited"] == [forged]
    assert AuditEntry.objects.get(action=sealing.ENTRY_FORGED).target == f"audit_entry:{forged}"


def test_an_edit_before_the_seal_is_found(write: Write) -> None:
    entry = write(2)[1]
    rows(AuditEntry, pk=entry.pk).update(actor=staff("innocent"))
    assert named() == [("edited", 0, entry.pk.hex)]


def test_entries_that_change_places_are_found(write: Write) -> None:
    write(7)
    sealing.seal_due()
    one, other = in_order()[0], in_order()[5]
    rows(AuditEntry, pk=one).update(block=2)
    rows(AuditEntry, pk=other).update(block=1)
    assert sorted(named()) == sorted(
        [("inserted", 0, other), ("deleted", 1, one), ("inserted", 0, one), ("deleted", 6, other)]
    )


def test_members_of_a_block_that_change_places_are_found(write: Write) -> None:
    write(7)
    sealing.seal_due()
    block = AuditBlock.objects.get(number=2)
    rows(AuditBlock, number=2).update(members=list(reversed(block.members)))
    assert named() == [("block", 4, "")]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("hash", "0" * 64),
        ("previous_hash", "0" * 64),
        ("size", 4),
        ("first_sequence", 5),
        ("number", 9),
        ("sealed_at", dt.datetime(2026, 1, 5, tzinfo=dt.UTC)),
        ("members", []),
    ],
)
def test_an_edit_of_a_block_is_found(write: Write, column: str, value: Any) -> None:
    write(7)
    sealing.seal_due()
    rows(AuditBlock, number=2).update(**{column: value})
    assert any(finding.kind in ("block", "deleted") and "block 2 " in finding.text for finding in found())


def test_a_block_that_is_deleted_with_its_entries_is_found(write: Write) -> None:
    write(7)
    sealing.seal_due()
    rows(AuditEntry, block=2).delete()
    rows(AuditBlock, number=2).delete()
    assert [(finding.kind, finding.text) for finding in found()] == [("deleted", "block 2 is gone")]


def test_the_first_block_is_missed(write: Write) -> None:
    write(4)
    sealing.seal_due()
    rows(AuditEntry, block=1).delete()
    rows(AuditBlock, number=1).delete()
    assert ("deleted", "block 1 is gone") in [(finding.kind, finding.text) for finding in found()]


def test_a_chain_that_is_forged_from_the_middle_on_is_shown_by_redis(write: Write) -> None:
    """All hashes made anew, with our key: the database agrees with itself, and not with what Redis saw."""
    write(4)
    sealing.seal_due()
    rows(AuditBlock).delete()
    rows(AuditEntry).update(block=0, actor=staff("innocent"))
    for entry in AuditEntry.objects.all():
        rows(AuditEntry, pk=entry.pk).update(mac=entry_mac(digest_of_entry(entry), signing_key()))
    while True:
        block = sealing._seal_next()
        if block is None:
            break
    assert [finding.kind for finding in found()] == ["witness"]


def test_a_tail_that_is_cut_off_is_shown_by_redis_and_written_down_by_the_next_seal(write: Write) -> None:
    write(7)
    sealing.seal_due()
    rows(AuditEntry, block=3).delete()
    rows(AuditBlock, number=3).delete()
    assert [(finding.kind, finding.text) for finding in found()] == [
        ("witness", "block 3 is not the one that Redis remembers: the end of the trail was changed or cut")
    ]
    write(2)
    sealing.seal_due()
    assert [(finding.kind, finding.text) for finding in found()] == [("incident", "blocks_vanished")]
    incident: Any = AuditEntry.objects.get(action=sealing.BLOCKS_VANISHED)
    assert incident.target == "audit_block:3"
    assert incident.after["newestBlock"]["number"] == 2


def test_a_committed_entry_that_vanishes_before_its_seal_is_written_down(write: Write) -> None:
    kept, gone = write(2)
    rows(AuditEntry, pk=gone.pk).delete()
    sealing.seal_due()
    assert [(finding.kind, finding.text) for finding in found()] == [("incident", "entry_vanished")]
    assert AuditEntry.objects.get(action=sealing.ENTRY_VANISHED).target == f"audit_entry:{gone.pk.hex}"
    assert AuditEntry.objects.filter(pk=kept.pk, block=1).exists()


def test_an_entry_signed_with_an_older_key_is_ours(write: Write, settings: Any) -> None:
    settings.AUDIT_KEYS = ["old"]
    write(1)
    settings.AUDIT_KEYS = ["new", "old"]
    write(1)
    sealing.seal_due()
    assert found() == []
    settings.AUDIT_KEYS = ["new"]
    assert [finding.kind for finding in found()] == ["edited"]


def test_the_work_can_be_shared_among_processes(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "PARALLEL_FROM_BLOCKS", 1)
    write(8)
    sealing.seal_due()
    victim = in_order()[4]
    rows(AuditEntry, pk=victim).update(actor=staff("innocent"))
    result = verify_trail(processes=2, with_anchors=False)
    assert [(finding.kind, finding.sequence, finding.entry_id) for finding in result.findings] == [
        ("edited", 5, victim)
    ]
    assert (result.entries, result.blocks) == (8, 3)


def test_the_command_names_what_it_finds_and_fails(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(4)
    sealing.seal_due()
    call_command("verify_audit", no_anchors=True)
    told = capsys.readouterr().out
    assert "4 entries in 2 blocks, 0 unsealed" in told
    assert told.endswith("The audit trail is intact.\n")
    victim = in_order()[1]
    rows(AuditEntry, pk=victim).update(action="partner.forgiven")
    with pytest.raises(CommandError, match="NOT intact: 1 findings"):
        call_command("verify_audit", no_anchors=True)
    assert f"edited: entry 2 ({victim}) was altered" in capsys.readouterr().out


@pytest.mark.skipif(connection.vendor != "sqlite", reason="the others' columns hold their type only")
@pytest.mark.parametrize(
    "column", ["id", "actor", "action", "target", "before", "after", "request_id", "timestamp", "mac"]
)
def test_on_sqlite_every_bit_of_every_column_counts(write: Write, column: str) -> None:
    """As if the file were edited: also where Django would read the same value, or could read none at all."""
    with context.request_id("req-1"):
        record_change(actor="a", action="b.c", target="d:e", before={"A": "1"}, after={"z": 1})
    sealing.seal_due()
    table = AuditEntry._meta.db_table
    with connection.cursor() as cursor:
        stored = cursor.execute(f"SELECT CAST({column} AS BLOB) FROM {table}").fetchone()[0]  # noqa: S608
        for place in range(len(stored)):
            for bit in (0x01, 0x20, 0x80):  # another digit, the other case, no UTF-8
                flipped = bytearray(stored)
                flipped[place] ^= bit
                cursor.execute(f"UPDATE {table} SET {column} = CAST(%s AS TEXT)", [bytes(flipped)])  # noqa: S608
                assert found(), (column, place, bit)
        cursor.execute(f"UPDATE {table} SET {column} = CAST(%s AS TEXT)", [stored])  # noqa: S608
    assert found() == []


def test_the_digest_is_the_documented_one() -> None:
    key = uuid.UUID(int=7)
    moment = dt.datetime(2026, 1, 5, 10, 30, 0, 123_000, tzinfo=dt.UTC)
    digest = entry_digest([key, "a", "b.c", "d:e", None, '{"x":1}', "", moment])
    documented = (
        '["00000000000000000000000000000007","a","b.c","d:e",null,"{\\"x\\":1}","","2026-01-05 10:30:00.123000"]'
    )
    assert digest == hashlib.sha256(documented.encode()).hexdigest()
