"""Two workers follow the chain at once, and one read less of it: its older values replace none that are newer."""

from collections.abc import Callable
from typing import Any

import pytest

from chain.models import ChainEvent
from loans.models import PartnerLoan, SolvencyPosition
from loans.positions import mirror
from loans.reconciliation.run import reconcile
from loans.services import applying, follow
from tests.core.concurrency import at_once
from tests.factories import DOLLAR
from tests.support import books
from tests.support.actors import repay_on_chain, revalue
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

USER = 1
MakeClient = Callable[..., Any]


@pytest.fixture
def row(chain: Chain) -> Any:
    """The position's row, as a query."""
    return SolvencyPosition.objects.filter(position_id=chain.users[USER].position_id)


@pytest.fixture
def lent(chain: Chain, make_client: MakeClient, settle: Callable[[], None]) -> None:
    make_client().borrow(chain.users[USER], 100)
    settle()


def another_follows_before(name: str, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Before `applying.<name>`, the first time: the collateral is worth $70,000, and another worker follows all."""
    original = getattr(applying, name)
    done: list[bool] = []

    def meanwhile(*args: Any) -> Any:
        if not done:
            done.append(True)
            revalue(chain, chain.users[USER], 70_000 * DOLLAR)
            at_once(1, lambda _: follow.follow_chain())
        return original(*args)

    monkeypatch.setattr(applying, name, meanwhile)
    return done


def assert_followed(row: Any) -> None:
    position = row.get()
    debt = position.usdc_borrowed
    health = 70_000 * DOLLAR * 10_000 // debt if debt else None
    assert (position.collateral_value_usd, position.health_factor_bps) == (70_000 * DOLLAR, health)
    assert (position.follow_failures, position.follow_error) == (0, "")
    assert not ChainEvent.objects.filter(applied=False).exists()
    assert books.discrepancies() == []


@pytest.mark.parametrize("mirrored_later", [False, True])
def test_of_a_position_without_loans(
    chain: Chain, row: Any, monkeypatch: pytest.MonkeyPatch, mirrored_later: bool
) -> None:
    """`mirrored_later`: its row is of a newer block than these events, so that its `synced_block` does not move."""
    follow.follow_chain()
    if mirrored_later:
        row.update(synced_block=10**9)
    revalue(chain, chain.users[USER], 60_000 * DOLLAR)
    done = another_follows_before("apply_quiet", chain, monkeypatch)

    _, report = follow.follow_chain()

    assert done == [True]
    assert report.waiting == (
        {chain.users[USER].position_id} if mirrored_later else set()
    )  # left out, the others go on
    assert_followed(row)


@pytest.mark.parametrize("mirrored_later", [False, True])
@pytest.mark.usefixtures("lent")
def test_of_a_position_whose_ledger_has_it_all(
    chain: Chain, row: Any, monkeypatch: pytest.MonkeyPatch, mirrored_later: bool
) -> None:
    follow.follow_chain()
    if mirrored_later:
        row.update(synced_block=10**9)
    revalue(chain, chain.users[USER], 60_000 * DOLLAR)
    done = another_follows_before("apply_settled", chain, monkeypatch)

    follow.follow_chain()

    assert done == [True]
    assert_followed(row)
    assert mirrored_later or reconcile().findings == []


@pytest.mark.usefixtures("lent")
def test_of_a_position_whose_debt_moved(chain: Chain, row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its user repaid and its collateral was valued anew; the other worker booked the repayment."""
    follow.follow_chain()
    repay_on_chain(chain, chain.users[USER].wallet, chain.users[USER], 40 * DOLLAR)
    revalue(chain, chain.users[USER], 60_000 * DOLLAR)
    done = another_follows_before("apply_busy", chain, monkeypatch)

    _, report = follow.follow_chain()

    assert done == [True]
    assert report.waiting == {chain.users[USER].position_id}
    assert_followed(row)
    assert PartnerLoan.objects.get().outstanding_principal == 60 * DOLLAR
    assert reconcile().findings == []


@pytest.mark.usefixtures("lent")
def test_a_row_that_moves_between_the_look_and_the_write_is_left_to_the_next_pass(
    chain: Chain, row: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Event by event: what another wrote since the row was read is not overwritten, and the events stay due."""
    follow.follow_chain()
    revalue(chain, chain.users[USER], 60_000 * DOLLAR)
    monkeypatch.setattr(applying, "is_behind", lambda *_: False)
    original = mirror.set_collateral

    def follow_and_be_overtaken(position: SolvencyPosition, event: ChainEvent) -> None:
        row.update(ledger_order=position.ledger_order + 1)
        original(position, event)

    with monkeypatch.context() as patched:
        patched.setattr(mirror, "set_collateral", follow_and_be_overtaken)
        _, report = follow.follow_chain()
    assert report.waiting == {chain.users[USER].position_id}
    assert row.get().collateral_value_usd != 60_000 * DOLLAR
    due = ChainEvent.objects.filter(applied=False)
    assert [(event.position_id, event.follow_after) for event in due] == [(chain.users[USER].position_id, None)]

    assert follow.apply_due().applied == 1
    assert row.get().collateral_value_usd == 60_000 * DOLLAR
