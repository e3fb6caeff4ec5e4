"""The sealer: two at once, killed between any two statements, beside writers that go on."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet

from audit.models import AuditBlock, AuditEntry
from audit.services import record_change
from audit.tasks import seal_trail
from audit.trail import sealing, witness
from audit.trail.verification import verify_trail
from partner_platform.core.redis import lock
from tests.core.concurrency import at_once

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[int], list[AuditEntry]]


class Killed(BaseException):
    """As a process that is no more: nothing of ours catches it."""


def trail() -> tuple[int, int, list[str]]:
    result = verify_trail(with_anchors=False)
    return result.entries, result.unsealed, [str(finding) for finding in result.findings]


def test_the_task_seals_what_waits(write: Write) -> None:
    write(3)
    assert trail() == (0, 3, [])
    assert seal_trail() == 3
    assert trail() == (3, 0, [])


def test_two_sealers_at_once_seal_each_entry_once(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the lease in Redis fails them: here each believes that it is alone."""
    monkeypatch.setattr(sealing, "BLOCK_SIZE", 4)
    monkeypatch.setattr(lock.Lock, "take", lambda _: True)
    write(60)

    def seal_until_done(_: int) -> None:
        while QuerySet(AuditEntry).filter(block=0).exists():
            sealing.seal_due(max_blocks=3)

    at_once(4, seal_until_done)
    assert trail() == (60, 0, [])
    blocks = list(AuditBlock.objects.order_by("number"))
    assert [block.number for block in blocks] == list(range(1, len(blocks) + 1))
    assert sum(block.size for block in blocks) == 60


def test_one_sealer_at_a_time_by_the_lock(write: Write) -> None:
    write(1)
    with lock.held("audit-sealer", seconds=60, without_redis=False) as is_ours:
        assert is_ours
        assert sealing.seal_due().busy
    assert sealing.seal_due().entries == 1


@pytest.mark.parametrize("statement", range(14))
def test_a_sealer_killed_between_any_two_statements_leaves_a_trail_that_the_next_one_continues(
    write: Write, monkeypatch: pytest.MonkeyPatch, statement: int
) -> None:
    monkeypatch.setattr(sealing, "BLOCK_SIZE", 3)
    write(7)
    done = 0

    def kill_at(act: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            if done == statement:
                raise Killed
            done += 1
            return act(*args, **kwargs)

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(AuditBlock, "save", kill_at(AuditBlock.save))
        patched.setattr(QuerySet, "update", kill_at(QuerySet.update))
        for name in ("committed", "forget_committed", "remembered_head", "remember_head"):
            patched.setattr(witness, name, kill_at(getattr(witness, name)))
        try:
            sealing.seal_due()
        except Killed:
            pass
    assert trail()[2] == []
    sealing.seal_due()
    assert trail() == (7, 0, [])
    assert [block.size for block in AuditBlock.objects.order_by("number")][:2] == [3, 3]


def test_entries_that_are_written_while_it_seals_are_sealed_by_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "BLOCK_SIZE", 5)
    writers_done = threading.Event()

    def act(number: int) -> None:
        if number == 0:
            while not writers_done.wait(0.01):
                sealing.seal_due()
            return
        for index in range(20):
            record_change(actor="system", action="loan.requested", target=f"loan:{number}-{index}")
        if number == 1:
            writers_done.set()

    at_once(3, act)
    sealing.seal_due()
    assert trail() == (40, 0, [])


def test_without_redis_entries_are_written_sealed_and_verified(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        from redis.exceptions import ConnectionError as RedisConnectionError

        raise RedisConnectionError("down")

    for module in (witness, lock):
        monkeypatch.setattr(module, "get_redis_connection", refuse)
    write(2)
    assert sealing.seal_due().entries == 2
    result = verify_trail(with_anchors=False)
    assert (result.findings, result.entries) == ([], 2)
    assert "Redis remembers no block" in result.notes


def test_an_id_that_is_none_of_ours_does_not_stop_the_sealer(write: Write) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("an id is a UUID there")
    odd = write(2)[0]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE audit_auditentry SET id = upper(id) WHERE id = %s", [odd.pk.hex])
    sealing.seal_due()
    sealing.seal_due()
    entries, unsealed, findings = trail()
    assert (entries, unsealed) == (3, 1)  # two incidents: it vanished under its own name, and came under another
    assert any(odd.pk.hex.upper() in finding for finding in findings)
