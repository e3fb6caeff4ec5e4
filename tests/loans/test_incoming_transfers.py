"""USDC that reached the platform account without a repayment is listed, told of once, and can be claimed."""

import json

import pytest

from chain.models import FundingTransfer
from events.models import Event
from loans.funding import incoming
from loans.models import PlatformAccount
from loans.reconciliation.run import reconcile
from loans.services import follow
from loans.tasks import tell_unclaimed_transfers
from partner_platform.core.database.transactions import run_in_transaction
from partners import settlement_addresses
from partners.services import update_partner
from tests.core.concurrency import at_once
from tests.factories import DOLLAR
from tests.loans.test_funding import reorg, send_to_platform, signed_transfer
from tests.support import books
from tests.support.actors import fund_usdc, transfer_usdc

pytestmark = pytest.mark.django_db(transaction=True)

# The chain's clock is not ours here: a grace that is over for every block, and one that is over for none.
FAR_AHEAD, FOR_EVER = -(10**9), 10**9


@pytest.fixture
def pass_grace(monkeypatch):
    """To be called once the grace of every transfer that there is, and of later ones, is over."""
    monkeypatch.setattr(incoming, "GRACE_SECONDS", FOR_EVER)
    return lambda: monkeypatch.setattr(incoming, "GRACE_SECONDS", FAR_AHEAD)


def look() -> int:
    """The watcher reads the chain, then what came in is told; returns how many transfers were told."""
    follow.follow_chain()
    told = tell_unclaimed_transfers()
    assert books.discrepancies() == []
    return told


def told() -> list[dict]:
    return [json.loads(event.body) for event in Event.objects.filter(type="transfer.unclaimed").order_by("created_at")]


def listed(client, status="unclaimed") -> list[dict]:
    response = client.get(f"/partners/my/transfers?status={status}")
    assert response.status_code == 200, response.content
    return response.json()["transfers"]


def test_a_transfer_without_a_repayment_is_listed_told_once_and_claimed_by_one(
    chain, lender, make_client, settle, pass_grace
):
    other, user = make_client(1), chain.users[0]
    assert lender.borrow(user, 1_000).status_code == 202
    settle()
    tx_hash = send_to_platform(chain, 100)
    pass_grace()

    assert look() == 1

    (row,) = listed(lender)
    block = chain.rpc("eth_getTransactionReceipt", tx_hash)
    assert row == {
        "txHash": tx_hash,
        "sender": lender.partner.settlement_address,
        "value": "100000000",
        "used": "0",
        "unclaimed": "100000000",
        "blockNumber": int(block["blockNumber"], 16),
        "blockHash": block["blockHash"],
    }
    (event,) = told()
    assert (event["type"], event["data"], event["partnerLoanId"]) == ("transfer.unclaimed", row, None)
    assert Event.objects.get(type="transfer.unclaimed").partner_key == lender.partner.pk
    assert listed(other) == []

    assert reconcile(freeze=False).finding_count == 0

    assert lender.repay(60 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    settle()
    assert [(row["used"], row["unclaimed"]) for row in listed(lender)] == [("60000000", "40000000")]
    assert lender.repay(40 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    settle()
    assert (listed(lender), [row["used"] for row in listed(lender, "claimed")]) == ([], ["100000000"])
    assert (look(), len(told())) == (0, 1)
    assert lender.loan()["remainingDebt"] == str(900 * DOLLAR)


def test_a_transfer_is_not_told_within_its_grace_and_not_at_all_where_a_repayment_took_it_by_then(
    chain, lender, settle, pass_grace
):
    lender.borrow(chain.users[0], 1_000)
    settle()
    tx_hash = send_to_platform(chain, 100)

    assert (look(), listed(lender)) == (0, [])
    assert lender.repay(30 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    settle()
    pass_grace()

    assert (look(), told()) == (0, [])
    assert [row["unclaimed"] for row in listed(lender)] == ["70000000"]


def test_what_our_own_operations_move_and_what_strangers_send_is_not_told(chain, lender, settle, pass_grace):
    lender.borrow(chain.users[0], 1_000)
    settle()
    assert lender.repay(50 * DOLLAR).status_code == 202  # pulled from the settlement address
    settle()
    stranger = chain.users[1].wallet
    fund_usdc(chain, stranger, 5 * DOLLAR)
    transfer_usdc(chain, stranger, chain.addresses["executor"], 5 * DOLLAR)
    pass_grace()

    assert (look(), told(), FundingTransfer.objects.count()) == (0, [], 0)


def test_a_transfer_from_a_former_address_is_the_partners(chain, lender, pass_grace):
    former = lender.partner.settlement_address
    update_partner(partner=lender.partner, actor="test", settlement_address=chain.users[2].wallet)
    assert settlement_addresses.owner_of(former) == lender.partner.pk
    send_to_platform(chain, 7)
    pass_grace()

    assert look() == 1
    assert [row["sender"] for row in listed(lender)] == [former]


def test_several_transfers_of_one_transaction_and_of_many_are_each_told_once(chain, lender, pass_grace, monkeypatch):
    monkeypatch.setattr(incoming, "EVENTS_PER_STEP", 1)
    hashes = [send_to_platform(chain, dollars) for dollars in (1, 2, 3)]
    pass_grace()

    assert look() == 3

    assert [event["data"]["txHash"] for event in told()] == hashes
    assert {row["txHash"] for row in listed(lender)} == set(hashes)


def test_a_transfer_that_a_reorg_takes_back_is_not_listed_and_mined_again_not_told_again(chain, lender, pass_grace):
    raw = signed_transfer(chain, 100)
    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    pass_grace()
    assert (look(), len(listed(lender))) == (1, 1)
    first = listed(lender)[0]["blockHash"]

    reorg(chain, 2)
    chain.mine()
    assert (look(), listed(lender)) == (0, [])

    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    assert (look(), len(told())) == (0, 1)
    (row,) = listed(lender)
    assert row["blockHash"] != first
    assert chain.rpc("eth_getBlockByNumber", hex(row["blockNumber"]), False)["hash"] == row["blockHash"]


def test_a_transfer_that_a_reorg_moves_to_another_block_is_listed_there_and_not_told_again(chain, lender, pass_grace):
    raw = signed_transfer(chain, 100)
    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine(3)
    pass_grace()
    assert look() == 1
    (before,) = listed(lender)

    chain.rpc("anvil_reorg", 4, [[raw, 1]])

    assert (look(), len(told())) == (0, 1)
    (after,) = listed(lender)
    assert after["blockHash"] != before["blockHash"]
    assert chain.rpc("eth_getBlockByNumber", hex(after["blockNumber"]), False)["hash"] == after["blockHash"]


def test_workers_at_once_tell_of_a_transfer_once(chain, lender, pass_grace):
    send_to_platform(chain, 100)
    pass_grace()
    follow.follow_chain()

    assert sum(at_once(4, lambda _: incoming.tell_unclaimed())) == 1
    assert len(told()) == 1


def test_a_pass_tells_nothing_of_blocks_that_a_reorg_takes_back_meanwhile(chain, lender, pass_grace, monkeypatch):
    send_to_platform(chain, 100)
    pass_grace()
    assert look() == 1
    send_to_platform(chain, 50)
    follow.follow_chain()
    rows = incoming._rows

    def then_roll_back(*args):
        found = rows(*args)
        incoming.read_again_from(1)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(incoming, "_rows", then_roll_back)
        assert incoming.tell_unclaimed() == 0
    assert PlatformAccount.objects.get().transfers_block == 0

    assert (incoming.tell_unclaimed(), len(told())) == (1, 2)


def test_a_pass_that_is_killed_before_its_commit_is_made_again(chain, lender, pass_grace, monkeypatch):
    send_to_platform(chain, 100)
    pass_grace()
    follow.follow_chain()

    def killed(act):
        def then_die():
            act()
            raise KeyboardInterrupt

        return run_in_transaction(then_die)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(incoming, "run_in_transaction", killed)
        incoming.tell_unclaimed()
    assert told() == []

    assert (incoming.tell_unclaimed(), len(told())) == (1, 1)
