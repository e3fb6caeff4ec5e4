"""Guards of credit and funds against readings that were overtaken; `tests/mutations` takes each of them away."""

from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain import clients, funding, system
from chain.models import FundingTransfer, Operation
from loans.models import OaidCredit, PartnerLoan, Repayment
from partner_platform.core.database import atomic
from partner_platform.core.errors import BadRequest
from tests.loans.conftest import DOLLAR, PartnerClient
from tests.loans.test_funding import signed_transfer
from tests.support.actors import transfer_usdc
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_reading_from_before_a_loan_landed_is_not_reserved_against(
    chain: Chain, lender: PartnerClient, settle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading has no block of the loan in it, the reservations have given it back: it would be counted nowhere."""
    user = chain.users[0]
    lender.borrow(user, 6_000)
    read_now = system.read_backing
    system.forget_block()
    before = read_now(user.oaid_token_id)
    settle()
    assert OaidCredit.objects.get().reserved == 0
    readings = [before]
    monkeypatch.setattr(system, "read_backing", lambda token: readings.pop() if readings else read_now(token))

    answer = lender.borrow(user, 6_000, "loan-2")

    assert (answer.status_code, answer.json()["code"]) == (400, "insufficient_credit")
    assert answer.json()["message"] == "Insufficient credit. Available: $4000"
    assert readings == []
    assert (PartnerLoan.objects.count(), Operation.objects.count()) == (1, 1)
    assert OaidCredit.objects.get().reserved == 0
    readings.append(before)
    assert lender.borrow(user, 4_000, "loan-3").status_code == 202


def test_a_transfer_that_moved_since_it_was_proven_is_not_claimed_as_it_was(
    chain: Chain, lender: PartnerClient
) -> None:
    """Two requests prove it, a reorg between them: the guard of the first one's operation would name a lost block."""
    sender = lender.partner.settlement_address
    raw = signed_transfer(chain, 100)
    tx_hash = chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    first = funding.record(funding.prove_transfer(tx_hash=tx_hash, sender=sender))
    chain.rpc("anvil_rollback", 1)
    chain.rpc("anvil_dropAllTransactions")
    chain.mine()
    chain.rpc("eth_sendRawTransaction", raw)
    chain.mine()
    second = funding.record(funding.prove_transfer(tx_hash=tx_hash, sender=sender))
    assert (first.pk, first.block_hash != second.block_hash) == (second.pk, True)

    with pytest.raises(BadRequest) as refusal, atomic():
        funding.claim(first, 60 * DOLLAR)

    assert refusal.value.code == "transfer_insufficient"
    assert FundingTransfer.objects.get().used == 0
    with atomic():
        assert funding.claim(second, 60 * DOLLAR) == 60 * DOLLAR
    assert FundingTransfer.objects.get().used == 60 * DOLLAR


def test_a_transfer_that_one_node_shows_in_another_block_funds_nothing(
    chain: Chain, lender: PartnerClient, settle: Any, settings: Settings
) -> None:
    lender.borrow(chain.users[0], 1_000)
    settle()
    sender = lender.partner.settlement_address
    tx_hash = transfer_usdc(chain, sender, chain.addresses["executor"], 100 * DOLLAR)
    with RpcProxy(chain.url) as other:
        settings.CHAIN_RPC_URLS = [chain.url, other.url]
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
