"""A settlement address is one partner's alone: its allowance and its transfers pay nobody else's loans."""

import pytest

from chain.lending.encoding import encode_call
from chain.models import FundingTransfer
from loans.models import FundingSource, Repayment
from partner_platform.core.errors import BadRequest
from partners.services import update_partner
from tests.factories import DOLLAR
from tests.support.acting import staff
from tests.support.actors import approve_usdc, fund_usdc, send_as, transfer_usdc

pytestmark = pytest.mark.django_db(transaction=True)

NEW = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.fixture
def a(chain, make_client):
    return make_client(0)


@pytest.fixture
def b(chain, make_client):
    return make_client(1)


def move(client, address: str) -> None:
    update_partner(partner=client.partner, actor=staff("x"), settlement_address=address)


def gas_money(chain, address: str) -> None:
    chain.rpc("anvil_setBalance", address, hex(10**18))


def test_a_partner_does_not_repay_with_anothers_allowance(chain, a, b, settle):
    a.borrow(chain.users[1], 1_000, "a")
    settle()
    bs = b.partner.settlement_address
    before = chain.usdc_balance(bs)

    with pytest.raises(BadRequest) as refused:
        move(a, bs)
    assert list(refused.value.details) == ["settlementAddress"]
    assert a.repay(1_000 * DOLLAR, "a").status_code == 202
    settle()

    assert chain.usdc_balance(bs) == before
    assert Repayment.objects.get().status == "SETTLED"


def test_a_partner_does_not_claim_anothers_transfer(chain, a, b, make_client, settle):
    with pytest.raises(BadRequest):
        make_client(2, settlement_address=b.partner.settlement_address.lower())
    a.borrow(chain.users[1], 1_000, "a")
    b.borrow(chain.users[0], 1_000, "b")
    settle()
    approve_usdc(chain, b.partner.settlement_address, 0)
    tx_hash = transfer_usdc(chain, b.partner.settlement_address, chain.addresses["executor"], 1_000 * DOLLAR)

    first = a.repay(1_000 * DOLLAR, "a", repaymentTxHash=tx_hash)
    second = b.repay(1_000 * DOLLAR, "b", repaymentTxHash=tx_hash)

    assert (first.status_code, first.json()["code"]) == (400, "transfer_not_to_platform")
    assert second.status_code == 202
    settle()
    assert b.loan("b")["status"] == "REPAID"


class TestAPartnerThatChangedItsAddress:
    """The old one is still its own: its transfers fund repayments, and no other partner can have it."""

    @pytest.fixture
    def moved(self, chain, a, settle):
        a.borrow(chain.users[0], 1_000)
        settle()
        move(a, NEW)
        return a

    @pytest.mark.parametrize("sent", ["before", "after"])
    def test_claims_a_transfer_from_the_old_one_whenever_it_was_sent(self, chain, a, settle, sent):
        a.borrow(chain.users[0], 1_000)
        settle()
        old, executor = a.partner.settlement_address, chain.addresses["executor"]
        if sent == "after":
            move(a, NEW)
        tx_hash = transfer_usdc(chain, old, executor, 300 * DOLLAR)
        if sent == "before":
            move(a, NEW)

        assert a.repay(300 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        settle()

        assert a.loan()["remainingDebt"] == str(700 * DOLLAR)
        assert (FundingTransfer.objects.get().sender, FundingTransfer.objects.get().used) == (old, 300 * DOLLAR)

    def test_is_pulled_from_the_new_one_alone(self, chain, moved, settle):
        old = chain.world.partners[0].settlement_address
        before = chain.usdc_balance(old)
        answer = moved.repay(100 * DOLLAR)
        assert (answer.status_code, answer.json()["code"]) == (400, "repayment_not_funded")
        assert answer.json()["details"]["settlementAddress"] == NEW

        fund_usdc(chain, NEW, 100 * DOLLAR)
        gas_money(chain, NEW)
        approve_usdc(chain, NEW, 100 * DOLLAR)
        assert moved.repay(100 * DOLLAR).status_code == 202
        settle()

        assert Repayment.objects.get().funding == FundingSource.PULLED
        assert (chain.usdc_balance(NEW), chain.usdc_balance(old)) == (0, before)

    def test_is_paid_out_to_the_new_one(self, chain, moved, settle):
        moved.borrow(chain.users[1], 100, "loan-2")
        settle()
        assert chain.usdc_balance(NEW) == 99_500_000

    def test_keeps_the_old_one_from_everybody_else(self, chain, moved, b):
        with pytest.raises(BadRequest):
            move(b, chain.world.partners[0].settlement_address)

    def test_claims_one_transaction_that_sent_from_both(self, chain, moved, settle):
        """A batch pays from the old and from the new address: each is a transfer of its own."""
        old, executor = chain.world.partners[0].settlement_address, chain.addresses["executor"]
        fund_usdc(chain, NEW, 40 * DOLLAR)
        gas_money(chain, NEW)
        batch = "0x00000000000000000000000000000000000ba7c4"
        for owner, amount in ((old, 300), (NEW, 40)):
            data = encode_call("approve(address,uint256)", [batch, amount * DOLLAR])
            send_as(chain, owner, chain.addresses["usdc"], data)
        calls = [
            encode_call("transferFrom(address,address,uint256)", [owner, executor, amount * DOLLAR])
            for owner, amount in ((NEW, 40), (old, 300))
        ]
        chain.rpc("anvil_setCode", batch, _calling(chain.addresses["usdc"], calls))
        chain.rpc("anvil_impersonateAccount", old)
        tx_hash = chain.rpc("eth_sendTransaction", {"from": old, "to": batch, "gas": hex(300_000)})
        chain.mine()

        assert moved.repay(40 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        settle()
        assert moved.repay(250 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        settle()
        too_much = moved.repay(51 * DOLLAR, repaymentTxHash=tx_hash)

        used = {row.sender: (row.value, row.used) for row in FundingTransfer.objects.all()}
        assert used == {NEW: (40 * DOLLAR, 40 * DOLLAR), old: (300 * DOLLAR, 250 * DOLLAR)}
        assert (too_much.status_code, moved.loan()["remainingDebt"]) == (400, str(710 * DOLLAR))


def _calling(target: str, calls: list[str]) -> str:
    """Runtime code that makes these calls (100 bytes each) of the target, one after the other."""
    size = 42
    code, start = b"", len(calls) * size + 1  # STOP, then the calls' data
    for number in range(len(calls)):
        code += bytes([0x60, 100, 0x60, start + number * 100, 0x60, 0, 0x39])  # CODECOPY(0, …, 100)
        code += bytes([0x60, 0, 0x60, 0, 0x60, 100, 0x60, 0, 0x60, 0])  # no answer, 100 bytes in, no value
        code += bytes([0x73, *bytes.fromhex(target[2:]), 0x5A, 0xF1, 0x50, 0x5B])  # CALL with all gas; POP; JUMPDEST
    return "0x" + code.hex() + "00" + "".join(call[2:] for call in calls)
