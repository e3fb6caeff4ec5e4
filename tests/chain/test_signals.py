"""What the chain engine tells other apps, and what becomes of it where one of them raises."""

from typing import Any

import pytest

from chain import signals
from chain.events import reorgs
from chain.models import ChainEvent
from chain.settlement.driver import _announce
from loans import receivers, tasks
from loans.funding import deposits, incoming
from tests.support.signals import heard_by


class Engine:
    """As far as announcing goes."""

    def __init__(self, *keys: str) -> None:
        self.settled_keys = list(keys)


def fail(**_: Any) -> None:
    raise RuntimeError("its own trouble")


def test_a_receiver_that_raises_stops_neither_the_others_nor_the_driver(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[str]] = []
    heard_by(monkeypatch, signals.operations_final, fail, lambda keys, **_: told.append(keys))
    engine: Any = Engine("one", "two")
    assert _announce(engine) == 2
    assert _announce(engine) == 0  # once
    assert told == [["one", "two"]]
    assert "its own trouble" in caplog.text


@pytest.mark.django_db
def test_a_receiver_that_raises_stops_the_rollback_and_the_receivers_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ChainEvent.objects.create(block_number=7, log_index=0, block_time=1, args={})
    told: list[str] = []
    before, after = (lambda block, **_: told.append(f"before {block}")), (lambda **_: told.append("after"))
    heard_by(monkeypatch, signals.rollback_begins, before, fail, after)
    with pytest.raises(RuntimeError, match="its own trouble"):
        reorgs.roll_back_events(7, 8)
    assert told == ["before 7"]
    assert ChainEvent.objects.count() == 1


def test_the_loans_settle_what_became_final_and_undo_what_is_rolled_back_deposits_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(tasks.settle_loans, "delay", lambda: done.append("settle"))
    monkeypatch.setattr(receivers, "rollback_positions", lambda block: done.append(("books", block)))
    monkeypatch.setattr(deposits, "forget_from", lambda block: done.append(("deposits", block)))
    monkeypatch.setattr(incoming, "read_again_from", lambda block: done.append(("transfers", block)))
    signals.operations_final.send_robust(sender=None, keys=["one"])
    signals.rollback_begins.send(sender=None, block=7)
    assert done == ["settle", ("books", 7), ("deposits", 7), ("transfers", 7)]
