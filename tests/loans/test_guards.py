"""Guards of credit and funds against readings that were overtaken; `tests/mutations` takes each of them away."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.lending import funding, readings
from chain.lending.encoding import OPERATION_EXECUTED_TOPIC
from chain.models import FundingTransfer, Operation
from chain.rpc import clients
from loans.models import OaidCredit, PartnerLoan, Repayment
from partner_platform.core.database.transactions import atomic
from partner_platform.core.errors import BadRequest
from tests.factories import DOLLAR
from tests.loans.conftest import PartnerClient
from tests.loans.test_funding import signed_transfer
from tests.support.actors import transfer_usdc
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


def proven_transfer(tx_hash: str, sender: str) -> funding.ProvenTransfer:
    [found] = funding.prove_transfers(tx_hash=tx_hash, senders=[sender])
    return found


def test_a_reading_from_before_a_loan_landed_is_not_reserved_against(
    chain: Chain, lender: PartnerClient, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading has no block of the loan in it, the reservations have given it back: it would be counted nowhere."""
    user = chain.users[0]
    lender.borrow(user, 6_000)
    read_now = readings.read_backing
    readings.forget_block()
    before = read_now(user.oaid_token_id)
    settle()
    assert OaidCredit.objects.get().reserved == 0
    given = [before]
    monkeypatch.setattr(readings, "read_backing", lambda token: given.pop() if given else read_now(token))

    answer = lender.borrow(user, 6_000, "loan-2")

    assert (answer.status_code, answer.json()["code"]) == (400, "insufficient_credit")
    assert answer.json()["message"] == "Insufficient credit. Available: $4000"
    assert given == []
    assert (PartnerLoan.objects.count(), Operation.objects.count()) == (1, 1)
    assert OaidCredit.objects.get().reserved == 0
    given.append(before)
    assert lender.borrow(user, 4_000, "loan-3").status_code == 202


def test_a_transfer_that_moved_since_it_was_proven_is_not_claimed_as_it_was(
    chain: Chain, lender: PartnerClient
) -> None:
    """Two requests prove it, a reorg between them: the guard of the first one's operation would name a lost block."""
    sender = lender.partner.settlement_address
    raw = signed_transfer(chain, 100)
    tx_hash = chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    first = funding.record(proven_transfer(tx_hash, sender))
    chain.rpc("anvil_rollback", 1)
    chain.rpc("anvil_dropAllTransactions")
    chain.mine()
    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    second = funding.record(proven_transfer(tx_hash, sender))
    assert (first.pk, first.block_hash != second.block_hash) == (second.pk, True)

    with pytest.raises(BadRequest) as refusal, atomic():
        funding.claim(first, 60 * DOLLAR)

    assert refusal.value.code == "transfer_insufficient"
    assert FundingTransfer.objects.get().used == 0
    with atomic():
        assert funding.claim(second, 60 * DOLLAR) == 60 * DOLLAR
    assert FundingTransfer.objects.get().used == 60 * DOLLAR


@pytest.mark.parametrize("is_first", [True, False], ids=["the first node", "the second"])
def test_a_transfer_that_one_node_shows_in_another_block_funds_nothing(
    chain: Chain, lender: PartnerClient, settle: Any, settings: Settings, is_first: bool
) -> None:
    """Nor is it said to be lost: the other node has it, so that it is worth while to ask again."""
    lender.borrow(chain.users[0], 1_000)
    settle()
    sender = lender.partner.settlement_address
    tx_hash = transfer_usdc(chain, sender, chain.addresses["executor"], 100 * DOLLAR)
    with RpcProxy(chain.url) as other:
        settings.CHAIN_RPC_URLS = [other.url, chain.url] if is_first else [chain.url, other.url]
        clients.get_client.cache_clear()
        other.rewrite("eth_getBlockByNumber", lambda block: {**block, "hash": "0x" + "ab" * 32}, times=None)

        refused = lender.repay(10 * DOLLAR, repaymentTxHash=tx_hash)
        other.heal()
        accepted = lender.repay(10 * DOLLAR, repaymentTxHash=tx_hash)

    clients.get_client.cache_clear()
    assert (refused.status_code, refused.json()["code"]) == (400, "transfer_unconfirmed")
    assert refused.json()["retryable"] is True
    assert accepted.status_code == 202
    assert (Repayment.objects.count(), FundingTransfer.objects.get().used) == (1, 10 * DOLLAR)


def test_a_transfer_that_one_node_tells_otherwise_of_funds_nothing(
    chain: Chain, lender: PartnerClient, settle: Any, settings: Settings
) -> None:
    """The same block, and in it another amount."""
    lender.borrow(chain.users[0], 1_000)
    settle()
    sender = lender.partner.settlement_address
    tx_hash = transfer_usdc(chain, sender, chain.addresses["executor"], 100 * DOLLAR)
    with RpcProxy(chain.url) as other:
        settings.CHAIN_RPC_URLS = [chain.url, other.url]
        clients.get_client.cache_clear()
        less = {"data": f"0x{10 * DOLLAR:064x}"}
        other.rewrite(
            "eth_getTransactionReceipt",
            lambda receipt: {**receipt, "logs": [{**log, **less} for log in receipt["logs"]]},
            times=None,
        )
        refused = lender.repay(10 * DOLLAR, repaymentTxHash=tx_hash)
        other.heal()
        accepted = lender.repay(10 * DOLLAR, repaymentTxHash=tx_hash)

    clients.get_client.cache_clear()
    assert (refused.status_code, refused.json()["code"]) == (400, "transfer_unconfirmed")
    assert accepted.status_code == 202
    assert (Repayment.objects.count(), FundingTransfer.objects.get().used) == (1, 10 * DOLLAR)


def test_a_transfer_that_is_known_in_its_block_is_found_with_one_query(
    chain: Chain, lender: PartnerClient, django_assert_num_queries: Any
) -> None:
    sender = lender.partner.settlement_address
    tx_hash = transfer_usdc(chain, sender, chain.addresses["executor"], 100 * DOLLAR)
    proven = proven_transfer(tx_hash, sender)
    made = funding.record(proven)
    with django_assert_num_queries(1):
        assert funding.record(proven) == made
    assert (made.tx_hash, made.sender, made.recipient) == (tx_hash, sender, chain.addresses["executor"])
    assert (made.value, made.used) == (100 * DOLLAR, 0)


@pytest.mark.parametrize("beside", ["anybody's event with our name", "another event of ours", "a log without a topic"])
def test_a_log_beside_the_transfer_makes_it_no_transaction_of_ours(
    chain: Chain, lender: PartnerClient, settings: Settings, beside: str
) -> None:
    sender, executor = lender.partner.settlement_address, chain.addresses["executor"]
    tx_hash = transfer_usdc(chain, sender, executor, 100 * DOLLAR)
    other_event = "0x" + "0f" * 32
    log = {
        "anybody's event with our name": {
            "address": "0x" + "0a" * 20,
            "topics": [OPERATION_EXECUTED_TOPIC],
            "data": "0x",
        },
        "another event of ours": {"address": executor, "topics": [other_event], "data": "0x"},
        "a log without a topic": {"address": executor, "topics": [], "data": "0x"},
    }[beside]
    with RpcProxy(chain.url) as node:
        settings.CHAIN_RPC_URLS = [node.url]
        clients.get_client.cache_clear()
        node.rewrite("eth_getTransactionReceipt", lambda receipt: {**receipt, "logs": [log, *receipt["logs"]]})
        proven = proven_transfer(tx_hash, sender)
    clients.get_client.cache_clear()
    assert proven.value == 100 * DOLLAR


def test_two_transfers_of_one_transaction_are_one_sum_and_a_piece_of_it_is_claimed_and_given_back_once(
    chain: Chain, lender: PartnerClient, settings: Settings
) -> None:
    sender, executor = lender.partner.settlement_address, chain.addresses["executor"]
    tx_hash = transfer_usdc(chain, sender, executor, 100 * DOLLAR)
    with RpcProxy(chain.url) as node:
        settings.CHAIN_RPC_URLS = [node.url]
        clients.get_client.cache_clear()
        node.rewrite("eth_getTransactionReceipt", lambda receipt: {**receipt, "logs": receipt["logs"] * 2})
        row = funding.record(proven_transfer(tx_hash, sender))
    clients.get_client.cache_clear()
    other = FundingTransfer.objects.create(
        tx_hash="0x" + "0b" * 32,
        sender=sender,
        recipient=executor,
        value=50,
        used=50,
        block_number=1,
        block_hash="0x0c",
    )
    with atomic():
        assert funding.claim(row, 300 * DOLLAR, 150 * DOLLAR) == 150 * DOLLAR

    with pytest.raises(BadRequest) as refusal, atomic():
        funding.claim(row, 50 * DOLLAR + 1)
    assert (refusal.value.code, refusal.value.details["unused"]) == ("transfer_insufficient", str(50 * DOLLAR))
    assert funding.give_back(transfer_id=row.pk, amount=150 * DOLLAR + 1) is False
    assert funding.give_back(transfer_id=row.pk, amount=150 * DOLLAR) is True
    assert funding.give_back(transfer_id=row.pk, amount=1) is False
    with atomic():
        assert funding.claim(row, 200 * DOLLAR) == 200 * DOLLAR
    with pytest.raises(BadRequest) as empty, atomic():
        funding.claim(row, 1)
    assert (empty.value.code, empty.value.details["unused"]) == ("transfer_already_used", "0")
    other.refresh_from_db()
    assert other.used == 50
