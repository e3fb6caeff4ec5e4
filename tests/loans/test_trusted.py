"""A repayment on trust is paid by the platform account, and never with USDC that another could claim (M3)."""

import random
from collections import Counter
from typing import Any

import pytest

from chain import selectors
from chain.events import watcher
from chain.lending import readings
from chain.lending.encoding import encode_call
from chain.models import FundingTransfer, Operation
from chain.rpc import clients
from chain.settlement import driver
from loans.funding import deposits, early_deposits, trusted
from loans.models import AccountDeposit, FundingSource, NotedAddress, PartnerSpending, PlatformAccount, Repayment
from loans.services import follow
from loans.services.settle import settle_due
from loans.tasks import follow_now
from partners.models import Partner
from partners.services import update_partner
from tests.core.concurrency import at_once
from tests.factories import DOLLAR
from tests.support.acting import staff
from tests.support.actors import approve_usdc, fund_usdc, send_as, set_interest_rate, transfer_usdc
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)

NO_FEE = {"platform_fee_percentage": 0}
NEW = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


@pytest.fixture
def executor(chain) -> str:
    return chain.addresses["executor"]


@pytest.fixture
def trusting(chain, make_client, settle):
    """Owes $1,000, is trusted, lets nothing be pulled, and paid no fee: the account has nothing of its own."""
    return _borrower(chain, make_client, settle, 0, repayment_funding="TRUSTED", **NO_FEE)


@pytest.fixture
def proven(chain, make_client, settle):
    """Owes $1,000, lets nothing be pulled, and pays by transfers."""
    return _borrower(chain, make_client, settle, 1, **NO_FEE)


def _borrower(chain, make_client, settle, index, **terms):
    client = make_client(index, **terms)
    assert client.borrow(chain.users[1 + index % 2], 1_000).status_code == 202
    settle()
    approve_usdc(chain, client.partner.settlement_address, 0)
    return client


def send(chain, client, dollars) -> str:
    return transfer_usdc(chain, client.partner.settlement_address, chain.addresses["executor"], dollars * DOLLAR)


def accepted(answer: Any) -> bool:
    """True; or a refusal as not funded, and nothing else."""
    if answer.status_code != 202:
        assert (answer.status_code, answer.json()["code"]) == (400, "repayment_not_funded"), answer.json()
    return answer.status_code == 202


def spendings() -> dict[str, int]:
    return dict(PartnerSpending.objects.values_list("partner__partner_name", "spent"))


class TestWhatIsAnothers:
    def test_a_transfer_that_another_sent_pays_for_that_ones_loan_alone(self, chain, trusting, proven, settle):
        tx_hash = send(chain, proven, 1_000)

        assert not accepted(trusting.repay(1_000 * DOLLAR))  # it sent nothing
        assert not accepted(trusting.repay(1))
        assert not Repayment.objects.exists()
        assert accepted(proven.repay(1_000 * DOLLAR, repaymentTxHash=tx_hash))
        settle()

        assert proven.loan()["status"] == "REPAID"
        assert trusting.loan()["remainingDebt"] == str(1_000 * DOLLAR)

    @pytest.mark.parametrize("claimed", [0, 400, 1_000])
    def test_however_much_of_it_was_claimed_and_whether_that_is_settled(
        self, chain, trusting, proven, settle, executor, claimed
    ):
        """Claimed and in flight it is spent soon; settled it has left the account; the rest may be claimed."""
        tx_hash = send(chain, proven, 1_000)
        if claimed:
            assert accepted(proven.repay(claimed * DOLLAR, repaymentTxHash=tx_hash))
        assert not accepted(trusting.repay(1))
        settle()
        assert chain.usdc_balance(executor) == (1_000 - claimed) * DOLLAR
        assert not accepted(trusting.repay(1))

        send(chain, trusting, 7)
        assert accepted(trusting.repay(7 * DOLLAR))
        settle()
        if claimed < 1_000:
            assert accepted(proven.repay((1_000 - claimed) * DOLLAR, repaymentTxHash=tx_hash))
            settle()
        assert proven.loan()["status"] == "REPAID"
        assert chain.usdc_balance(executor) == 0

    def test_a_failed_claim_is_the_others_again(self, chain, trusting, proven, settle, executor):
        tx_hash = send(chain, proven, 1_000)
        assert accepted(proven.repay(600 * DOLLAR, repaymentTxHash=tx_hash))
        chain.rpc("anvil_setBalance", chain.addresses["treasury"], hex(10**18))
        chain.rpc("anvil_setBalance", executor, hex(10**18))
        transfer_usdc(chain, executor, chain.addresses["treasury"], 1_000 * DOLLAR)
        settle()
        assert Repayment.objects.get().status == "FAILED"
        transfer_usdc(chain, chain.addresses["treasury"], executor, 1_000 * DOLLAR)

        assert not accepted(trusting.repay(1))

    def test_a_transfer_from_an_address_that_the_other_left(self, chain, trusting, proven):
        old = proven.partner.settlement_address
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        transfer_usdc(chain, old, chain.addresses["executor"], 1_000 * DOLLAR)
        assert not accepted(trusting.repay(1))

    def test_a_transfer_from_an_address_that_is_the_others_since(self, chain, trusting, proven, executor):
        """Sent before the platform knew whose it is."""
        fund_usdc(chain, NEW, 100 * DOLLAR)
        chain.rpc("anvil_setBalance", NEW, hex(10**18))
        transfer_usdc(chain, NEW, executor, 100 * DOLLAR)
        follow_now()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        assert not accepted(trusting.repay(1))

    def test_a_transfer_in_the_newest_block_which_the_watcher_has_not_read(self, chain, trusting, proven, monkeypatch):
        """It is in the balance as of now, and among no events: what is judged is of one block."""
        send(chain, trusting, 50)
        watcher.read_new_blocks()
        send(chain, proven, 1_000)
        monkeypatch.setattr(watcher, "read_new_blocks", lambda: None)

        assert not accepted(trusting.repay(50 * DOLLAR + 1))
        assert accepted(trusting.repay(50 * DOLLAR))

    def test_a_claim_that_was_settled_above_the_block_which_is_judged(
        self, chain, trusting, proven, settle, monkeypatch
    ):
        """The balance of that block still holds what it took: it would look as if nobody could claim it."""
        tx_hash = send(chain, proven, 1_000)
        watcher.read_new_blocks()
        monkeypatch.setattr(watcher, "read_new_blocks", lambda: None)
        assert accepted(proven.repay(1_000 * DOLLAR, repaymentTxHash=tx_hash))
        settle()
        assert spendings() == {"Lender 1": 1_000 * DOLLAR}

        answer = trusting.repay(1)

        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        assert Repayment.objects.count() == 1


class TestWhatMayBeSpent:
    def test_what_the_partner_sent_itself_in_as_many_transfers_as_it_liked(self, chain, trusting, proven, settle):
        send(chain, proven, 1_000)
        for dollars in (400, 350, 250):
            send(chain, trusting, dollars)
        assert accepted(trusting.repay(1_000 * DOLLAR))
        settle()
        assert trusting.loan()["status"] == "REPAID"
        assert Repayment.objects.get().funding == FundingSource.TRUSTED
        assert spendings() == {"Lender 0": 1_000 * DOLLAR}

    def test_the_platforms_fees_and_what_strangers_sent(self, chain, make_client, settle, executor):
        trusting = _borrower(chain, make_client, settle, 0, repayment_funding="TRUSTED")  # $5 of fees
        stranger = chain.users[2].wallet
        fund_usdc(chain, stranger, 3 * DOLLAR)
        transfer_usdc(chain, stranger, executor, 3 * DOLLAR)

        assert not accepted(trusting.repay(8 * DOLLAR + 1))
        assert accepted(trusting.repay(8 * DOLLAR))
        settle()
        assert chain.usdc_balance(executor) == 0

    def test_what_its_own_repayments_in_flight_will_spend_is_not_spent_again(self, chain, trusting, settle):
        trusting.borrow(chain.users[1], 1_000, "loan-2")
        settle()
        send(chain, trusting, 1_000)
        assert accepted(trusting.repay(700 * DOLLAR))

        assert not accepted(trusting.repay(300 * DOLLAR + 1, "loan-2"))
        assert accepted(trusting.repay(300 * DOLLAR, "loan-2"))
        settle()

        assert Counter(Repayment.objects.values_list("status", "funding")) == {("SETTLED", "TRUSTED"): 2}

    def test_of_16_at_once_those_that_fit_are_accepted_and_none_fails(self, chain, trusting, proven, settle, executor):
        for number in range(16):
            trusting.borrow(chain.users[1], 20, f"loan-{number + 2}")
        settle()
        send(chain, proven, 1_000)
        send(chain, trusting, 100)

        answers = at_once(16, lambda n: trusting.repay(10 * DOLLAR, f"loan-{n + 2}"))

        assert {answer.status_code for answer in answers} <= {202, 400, 503}
        for answer in answers:
            assert answer.status_code != 503 or answer.json()["retryable"] is True
        taken = sum(answer.status_code == 202 for answer in answers)
        assert 1 <= taken <= 10
        settle()
        assert Repayment.objects.filter(status="SETTLED").count() == Repayment.objects.count() == taken
        assert chain.usdc_balance(executor) == (1_100 - 10 * taken) * DOLLAR

    def test_two_trusted_partners_at_once_do_not_spend_the_same_fees(self, chain, make_client, settle, executor):
        clients_ = [_borrower(chain, make_client, settle, index, repayment_funding="TRUSTED") for index in (0, 1)]
        assert chain.usdc_balance(executor) == 10 * DOLLAR

        answers = at_once(2, lambda n: clients_[n].repay(10 * DOLLAR))
        settle()

        assert sorted(answer.status_code for answer in answers) == [202, 400]
        assert [repayment.status for repayment in Repayment.objects.all()] == ["SETTLED"]

    def test_a_judgement_on_figures_that_another_changed_is_made_again(self, chain, trusting, monkeypatch):
        """Between the look and the commit another repayment is accepted on the same figures."""
        send(chain, trusting, 10)
        original, seen = trusted.judge_account, []

        def judge_and_be_overtaken(partner: Partner) -> trusted.Judgement:
            found = original(partner)
            seen.append(found.judgements)
            if len(seen) == 1:
                PlatformAccount.objects.update(judgements=found.judgements + 1)
            return found

        monkeypatch.setattr(trusted, "judge_account", judge_and_be_overtaken)
        assert accepted(trusting.repay(10 * DOLLAR))
        assert seen == [0, 1]
        assert PlatformAccount.objects.get().judgements == 2
        assert Repayment.objects.count() == Operation.objects.filter(kind="repay").count() == 1


class TestWhatWasSpentOnTrustIsNotClaimedAgain:
    """The partner's own transfer paid for a repayment that did not name it; its hash then pays for nothing."""

    @pytest.mark.parametrize("settled", [False, True])
    def test_by_its_hash(self, chain, trusting, proven, settle, settled):
        send(chain, proven, 1_000)
        trusting.borrow(chain.users[1], 1_000, "loan-2")
        settle()
        tx_hash = send(chain, trusting, 600)
        assert accepted(trusting.repay(400 * DOLLAR))
        if settled:
            settle()

        again = trusting.repay(201 * DOLLAR, "loan-2", repaymentTxHash=tx_hash)
        assert (again.status_code, again.json()["code"]) == (400, "transfer_insufficient")
        assert again.json()["details"]["unused"] == str(200 * DOLLAR)
        assert trusting.repay(200 * DOLLAR, "loan-2", repaymentTxHash=tx_hash).status_code == 202
        settle()

        used_up = trusting.repay(1, "loan-2", repaymentTxHash=tx_hash)
        assert (used_up.status_code, used_up.json()["code"]) == (400, "transfer_already_used")
        assert Counter(Repayment.objects.values_list("status", "funding")) == {
            ("SETTLED", "TRUSTED"): 1,
            ("SETTLED", "TRANSFER"): 1,
        }

    def test_nor_when_the_partner_is_trusted_no_more(self, chain, trusting, proven, settle):
        send(chain, proven, 1_000)
        tx_hash = send(chain, trusting, 400)
        assert accepted(trusting.repay(400 * DOLLAR))
        settle()
        update_partner(partner=trusting.partner, actor=staff("x"), repayment_funding="PROVEN")

        again = trusting.repay(1, repaymentTxHash=tx_hash)
        assert (again.status_code, again.json()["code"]) == (400, "transfer_already_used")


class TestWhatAStrangerSentThatBecomesAPartner:
    """Spent on trust while nobody knew whose it is, it is not claimed by its hash as well: others could claim that."""

    @pytest.fixture
    def third(self, chain, make_client, settle):
        """Owes $100 and has sent $100, which it has not claimed yet."""
        client = make_client(2, **NO_FEE)
        assert client.borrow(chain.users[0], 100).status_code == 202
        settle()
        fund_usdc(chain, client.partner.settlement_address, 100 * DOLLAR)
        return client

    @pytest.fixture
    def early(self, chain, executor) -> str:
        """The hash of $100 that somebody unknown sent."""
        fund_usdc(chain, NEW, 200 * DOLLAR)
        chain.rpc("anvil_setBalance", NEW, hex(10**18))
        return transfer_usdc(chain, NEW, executor, 100 * DOLLAR)

    @pytest.mark.parametrize("read_by", ["the beat", "the claim"])
    def test_is_claimed_by_nobody_again(self, chain, trusting, proven, third, early, settle, read_by):
        waiting = send(chain, third, 100)
        follow_now()
        assert accepted(trusting.repay(100 * DOLLAR))
        settle()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        if read_by == "the beat":
            follow_now()

        answer = proven.repay(100 * DOLLAR, repaymentTxHash=early)

        assert (answer.status_code, answer.json()["code"]) == (400, "transfer_already_used")
        assert FundingTransfer.objects.get().used == 0
        assert accepted(third.repay(100 * DOLLAR, repaymentTxHash=waiting))
        settle()
        assert third.loan()["status"] == "REPAID"
        assert proven.loan()["remainingDebt"] == str(1_000 * DOLLAR)

    def test_is_claimed_as_far_as_the_rest_goes_in_whatever_order(
        self, chain, trusting, proven, third, early, settle, executor
    ):
        """Its new owner sends as much again and names the early one first: the later one then pays for nothing."""
        send(chain, third, 100)
        follow_now()
        assert accepted(trusting.repay(100 * DOLLAR))
        settle()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        late = transfer_usdc(chain, NEW, executor, 100 * DOLLAR)
        assert accepted(proven.repay(100 * DOLLAR, repaymentTxHash=early))
        settle()

        again = proven.repay(1, repaymentTxHash=late)

        assert (again.status_code, again.json()["code"]) == (400, "transfer_already_used")
        assert chain.usdc_balance(executor) == 100 * DOLLAR

    def test_unspent_it_is_its_new_owners(self, chain, trusting, proven, third, early, settle):
        send(chain, third, 100)
        follow_now()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)

        assert accepted(proven.repay(100 * DOLLAR, repaymentTxHash=early))
        settle()

        assert proven.loan()["remainingDebt"] == str(900 * DOLLAR)
        assert not accepted(trusting.repay(1))

    def test_a_partner_whose_new_address_had_sent_nothing_is_not_judged(self, chain, proven, early, settle, executor):
        other = "0x" + "7" * 40
        chain.rpc("anvil_setBalance", other, hex(10**18))
        fund_usdc(chain, other, 10 * DOLLAR)
        follow_now()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=other)
        follow_now()
        assert accepted(proven.repay(10 * DOLLAR, repaymentTxHash=transfer_usdc(chain, other, executor, 10 * DOLLAR)))
        assert set(PlatformAccount.objects.values_list("judgements", flat=True)) == {0}
        assert set(PartnerSpending.objects.values_list("on_trust", flat=True)) == {False}

    def test_where_old_deposits_are_not_added_up_yet_the_claim_is_judged(
        self, chain, proven, early, monkeypatch, executor
    ):
        """What the address had sent cannot be told now; nothing is noted of it."""
        follow_now()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        monkeypatch.setattr(deposits, "MAX_BLOCKS_UNREAD", 1)
        answer = proven.repay(100 * DOLLAR, repaymentTxHash=early)
        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        monkeypatch.undo()
        assert not NotedAddress.objects.filter(address=NEW).exists()
        assert accepted(proven.repay(100 * DOLLAR, repaymentTxHash=early))
        assert PlatformAccount.objects.get().judgements == 1
        assert PartnerSpending.objects.get().on_trust is True

    def test_two_that_note_an_address_at_once_note_it_once(self, chain, proven, early):
        follow_now()
        update_partner(partner=proven.partner, actor=staff("x"), settlement_address=NEW)
        at_once(4, lambda _: early_deposits.note_new())
        assert NotedAddress.objects.filter(address=NEW).count() == 1
        assert PartnerSpending.objects.get().on_trust is True


class TestWhenTheChainMoves:
    def test_a_reorg_that_takes_the_judged_block_fails_the_repayment_and_spends_nothing(
        self, chain, trusting, proven, settle, executor
    ):
        """The partner's transfer is gone, the other's is there again: the account holds enough, of the other's."""
        sent = send(chain, proven, 1_000)
        chain.mine()
        send(chain, trusting, 1_000)
        assert accepted(trusting.repay(1_000 * DOLLAR))
        chain.rpc("anvil_reorg", 1, [])
        assert chain.usdc_balance(executor) == 1_000 * DOLLAR

        settle()

        repayment = Repayment.objects.get()
        assert repayment.status == "FAILED"
        assert repayment.failure_reason.startswith("BlockReplaced(number=")
        assert chain.usdc_balance(executor) == 1_000 * DOLLAR
        assert accepted(proven.repay(1_000 * DOLLAR, repaymentTxHash=sent))
        settle()
        assert proven.loan()["status"] == "REPAID"

    def test_a_settlement_that_a_reorg_takes_back_is_in_flight_again_and_counts_once(
        self, chain, trusting, proven, settle
    ):
        send(chain, proven, 500)
        send(chain, trusting, 300)
        assert accepted(trusting.repay(200 * DOLLAR))
        settle()
        follow_now()
        assert spendings() == {"Lender 0": 200 * DOLLAR}
        depth = chain.block_number() - Operation.objects.get(kind="repay").block_number + 1
        chain.rpc("anvil_rollback", depth)
        chain.mine(depth + 1)
        driver.drive_once()
        settle_due()
        follow_now()
        assert (Repayment.objects.get().status, spendings()) == ("PENDING", {"Lender 0": 0})
        settle()
        assert (Repayment.objects.get().status, spendings()) == ("SETTLED", {"Lender 0": 200 * DOLLAR})
        follow_now()
        left = trusted.judge_account(trusting.partner).left
        assert left == 100 * DOLLAR

    def test_a_node_with_another_block_than_was_read_is_503(self, chain, trusting, monkeypatch):
        """A reorg after the watcher looked: balance and events would be of two histories."""
        send(chain, trusting, 10)
        watcher.read_new_blocks()
        chain.rpc("anvil_reorg", 1, [])
        monkeypatch.setattr(watcher, "read_new_blocks", lambda: None)

        answer = trusting.repay(10 * DOLLAR)

        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        assert not Repayment.objects.exists()

    @pytest.mark.parametrize("method", ["eth_getLogs", "eth_getBlockByNumber", "eth_call"])
    def test_a_node_that_refuses_to_tell_is_503_and_nothing_is_accepted(self, chain, trusting, settings, method):
        send(chain, trusting, 10)
        with RpcProxy(chain.url) as proxy:
            settings.CHAIN_RPC_URLS = [proxy.url]
            clients.get_client.cache_clear()
            proxy.refuse(method, "missing trie node", times=None)
            answer = trusting.repay(10 * DOLLAR)
        clients.get_client.cache_clear()
        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        assert not Repayment.objects.exists()


class TestAPayoff:
    @pytest.mark.parametrize("spare", [100, 10**6])
    def test_takes_no_more_than_is_left_though_interest_grows(self, chain, make_client, settle, executor, spare):
        """Beside the other's transfer the account holds the debt and a little: what 600 seconds more cost, or less."""
        proven = _borrower(chain, make_client, settle, 1, **NO_FEE)
        set_interest_rate(chain, 1_000)
        trusting = make_client(0, repayment_funding="TRUSTED", **NO_FEE)
        trusting.borrow(chain.users[0], 1_000)
        settle()
        approve_usdc(chain, trusting.partner.settlement_address, 0)
        tx_hash = send(chain, proven, 1_000)
        chain.pass_time(86_400 * 30)
        sent = int(trusting.loan()["remainingDebt"]) + spare
        transfer_usdc(chain, trusting.partner.settlement_address, executor, sent)
        readings.forget_block()

        assert accepted(trusting.repay(int(trusting.loan()["remainingDebt"])))
        chain.pass_time(600)
        settle()

        repayment = Repayment.objects.get(loan__partner=trusting.partner)
        assert (repayment.status, repayment.closes_loan) == ("SETTLED", True)
        assert (trusting.loan()["status"] == "REPAID") is (spare == 10**6)
        left = chain.usdc_balance(executor) - 1_000 * DOLLAR
        assert left == 0 if spare == 100 else 0 < left < spare
        assert accepted(proven.repay(1_000 * DOLLAR, repaymentTxHash=tx_hash))
        settle()
        assert proven.loan()["status"] == "REPAID"


class TestTheRunningSums:
    @pytest.fixture
    def short_memory(self, monkeypatch):
        """Blocks are final after three."""
        monkeypatch.setattr(selectors, "verified_until", lambda: selectors.watched_until() - 3)

    def test_old_blocks_are_added_up_once_and_new_ones_read(self, chain, trusting, proven, executor, short_memory):
        for dollars in (10, 20, 30):
            send(chain, proven, dollars)
            send(chain, trusting, 1)
            follow_now()
            follow_now()
        chain.mine(2)
        follow_now()
        row = PlatformAccount.objects.get()
        assert row.deposits_block == chain.block_number() - 3
        kept = dict(AccountDeposit.objects.values_list("sender", "received"))
        sent = {proven.partner.settlement_address: 60 * DOLLAR, trusting.partner.settlement_address: 3 * DOLLAR}
        assert 0 < kept[proven.partner.settlement_address] <= 60 * DOLLAR
        assert deposits.received(executor, chain.block_number(), sent) == Counter(sent)
        assert not accepted(trusting.repay(3 * DOLLAR + 1))
        assert accepted(trusting.repay(3 * DOLLAR))

    def test_a_reorg_below_what_was_added_up_has_it_added_up_again(
        self, chain, trusting, proven, executor, short_memory
    ):
        block = chain.block_number()
        send(chain, proven, 10)
        send(chain, trusting, 5)
        chain.mine(5)
        follow_now()
        assert PlatformAccount.objects.get().deposits_block > block
        chain.rpc("anvil_rollback", chain.block_number() - block)
        chain.mine(12)
        follow_now()
        follow_now()

        assert not AccountDeposit.objects.exists()
        senders = [proven.partner.settlement_address, trusting.partner.settlement_address]
        assert deposits.received(executor, chain.block_number(), senders) == Counter()
        assert not accepted(trusting.repay(1))

    def test_what_is_not_added_up_yet_is_waited_for(self, chain, trusting, monkeypatch):
        monkeypatch.setattr(deposits, "MAX_BLOCKS_UNREAD", 1)
        send(chain, trusting, 5)
        answer = trusting.repay(5 * DOLLAR)
        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        assert answer.json()["retryable"] is True

    def test_a_step_adds_up_no_more_events_than_it_may(
        self, chain, trusting, proven, executor, monkeypatch, short_memory
    ):
        monkeypatch.setattr(deposits, "EVENTS_PER_STEP", 2)
        monkeypatch.setattr(deposits, "STEPS_PER_PASS", 1_000)
        for dollars in (1, 2, 3, 4):
            send(chain, proven, dollars)
        chain.mine(4)
        follow_now()
        assert PlatformAccount.objects.get().deposits_block == chain.block_number() - 3
        assert AccountDeposit.objects.get(sender=proven.partner.settlement_address).received == 10 * DOLLAR

    def test_two_that_add_up_at_once_add_up_once(self, chain, trusting, proven, executor, short_memory):
        send(chain, proven, 10)
        chain.mine(5)
        follow.follow_chain()
        at_once(4, lambda _: deposits.advance())
        assert AccountDeposit.objects.get().received == 10 * DOLLAR


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_in_any_order_each_transfer_still_pays_what_it_did_not_pay_yet(
    chain, make_client, settle, executor, seed
):
    """Two trusted partners and one that proves: in the end that one claims all it sent, and every claim is paid."""
    chance = random.Random(seed)  # noqa: S311 - a history, not a secret
    fees = [50, 50, 0]
    lenders = [
        _borrower(chain, make_client, settle, index, platform_fee_percentage=fees[index], repayment_funding=funding)
        for index, funding in enumerate(["TRUSTED", "TRUSTED", "PROVEN"])
    ]
    sent: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for _ in range(40):
        who, amount = chance.randrange(3), chance.randrange(1, 20)
        act = chance.choice(["send", "send", "claim", "claim", "trust", "trust", "settle", "settle", "follow"])
        if act == "send":
            sent[who].append(send(chain, lenders[who], amount))
        elif act == "claim" and sent[who]:
            lenders[who].repay(amount * DOLLAR, repaymentTxHash=chance.choice(sent[who]))
        elif act == "trust" and who != 2:
            lenders[who].repay(amount * DOLLAR)
        elif act == "settle":
            settle()
        elif act == "follow":
            follow_now()
    settle()

    for tx_hash in sent[2]:
        row = FundingTransfer.objects.filter(tx_hash=tx_hash).first()
        value = row.value if row else _value(chain, tx_hash)
        if left := value - (row.used if row else 0):
            assert lenders[2].repay(left, repaymentTxHash=tx_hash).status_code == 202
            settle()
    statuses = Counter(Repayment.objects.values_list("funding", "status"))
    assert {status for _, status in statuses} == {"SETTLED"}, statuses
    assert statuses["TRUSTED", "SETTLED"] > 0
    assert all(row.used == row.value for row in FundingTransfer.objects.filter(tx_hash__in=sent[2]))


def _value(chain: Any, tx_hash: str) -> int:
    (log,) = chain.rpc("eth_getTransactionReceipt", tx_hash)["logs"]
    return int(log["data"], 16)


class TestWhatItCosts:
    def test_a_proven_partner_asks_the_chain_no_more_than_before(self, chain, proven, settle, settings):
        tx_hash = send(chain, proven, 1_000)
        with RpcProxy(chain.url) as proxy:
            settings.CHAIN_RPC_URLS = [proxy.url]
            clients.get_client.cache_clear()
            assert accepted(proven.repay(10 * DOLLAR, repaymentTxHash=tx_hash))
            asked = dict(proxy.received)
        clients.get_client.cache_clear()
        assert "eth_getLogs" not in asked
        assert not PlatformAccount.objects.exists()
        assert FundingTransfer.objects.get().used == 10 * DOLLAR

    @pytest.mark.parametrize("which", ["on trust", "claimed"])
    def test_the_watchers_backlog_is_the_beats_and_not_the_requests(
        self, chain, trusting, settings, monkeypatch, which
    ):
        monkeypatch.setattr(trusted, "MAX_BLOCKS_BEHIND", 3)
        extra = {"repaymentTxHash": send(chain, trusting, 5)} if which == "claimed" else {}
        if which == "on trust":
            send(chain, trusting, 5)
        follow_now()
        chain.mine(4)
        read_until = selectors.watched_until()
        with RpcProxy(chain.url) as proxy:
            settings.CHAIN_RPC_URLS = [proxy.url]
            clients.get_client.cache_clear()
            answer = trusting.repay(5 * DOLLAR, **extra)
            asked = dict(proxy.received)
        clients.get_client.cache_clear()
        assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
        assert answer.json()["retryable"] is True
        assert "eth_getLogs" not in asked
        assert selectors.watched_until() == read_until
        assert not Repayment.objects.exists()

        settings.CHAIN_RPC_URLS = [chain.url]
        clients.get_client.cache_clear()
        follow_now()
        chain.mine(3)  # as many as a request reads itself
        assert accepted(trusting.repay(5 * DOLLAR, **extra))

    def test_zero_transfers_in_a_partners_name_are_nothing(self, chain, trusting, proven, executor, monkeypatch):
        """Anybody can have USDC say that a partner sent nothing: `transferFrom(partner, executor, 0)`."""
        data = encode_call("transferFrom(address,address,uint256)", [proven.partner.settlement_address, executor, 0])
        for _ in range(3):
            send_as(chain, chain.users[2].wallet, chain.addresses["usdc"], data)
        send(chain, trusting, 5)
        sent = {trusting.partner.settlement_address: 5 * DOLLAR}
        senders = [proven.partner.settlement_address, *sent]
        assert deposits.received(executor, _followed(chain), senders) == Counter(sent)
        assert accepted(trusting.repay(5 * DOLLAR))
        monkeypatch.setattr(selectors, "verified_until", selectors.watched_until)  # all was read again, alike
        deposits.advance()
        assert dict(AccountDeposit.objects.values_list("sender", "received")) == sent


def _followed(chain: Any) -> int:
    watcher.read_new_blocks()
    return int(chain.block_number())
