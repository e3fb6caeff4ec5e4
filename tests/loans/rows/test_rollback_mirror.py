"""A position that was opened before the watcher read: what a reorg took of its collateral only the chain tells."""

import pytest

from chain.lending import readings
from chain.lending.readings import PositionReading
from chain.models import ChainEvent
from loans.chain_order import order_of
from loans.models import SolvencyPosition
from loans.rollback import mirror
from tests.support.books_rows import BLOCK, TOKEN, USER, BooksRows


def test_it_is_read_at_a_block_that_was_not_remembered_from_before_the_reorg(
    world: BooksRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    position = world.position(collateral_value_usd=999, synced_block=BLOCK + 1)
    ChainEvent.objects.create(
        name="SolvencyVault.PositionRevalued",
        block_number=BLOCK,
        log_index=3,
        block_hash="0x01",
        block_time=1,
        tx_hash="0x02",
        position_id=position.position_id,
        args={},
    )
    done: list[str] = []

    def read(position_id: int) -> PositionReading:
        done.append("read")
        return PositionReading(USER, 1, TOKEN, 10**18, 1_234, 0, True, "RWA", position_id, BLOCK + 7)

    monkeypatch.setattr(readings, "forget_block", lambda: done.append("forgot the newest block"))
    monkeypatch.setattr(readings, "read_position", read)
    mirror.rollback_mirror(position.position_id, order_of(BLOCK, 0))
    assert done == ["forgot the newest block", "read"]
    row = SolvencyPosition.objects.get(pk=position.pk)
    assert (row.collateral_value_usd, row.synced_block, row.active) == (1_234, BLOCK + 7, True)

    done.clear()
    mirror.rollback_mirror(position.position_id, order_of(BLOCK + 1, 0))  # nothing of it is undone
    assert done == []
