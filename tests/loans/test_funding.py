"""Where the money of a repayment comes from: a transfer funds its value once, and only on a chain that has it (M3)."""

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from chain.lending import funding, readings
from chain.lending.encoding import encode_call
from chain.models import FundingTransfer, Operation
from chain.rpc import clients
from chain.settlement import driver
from loans.models import FundingSource, Repayment
from loans.services.settle import settle_due
from partners.models import Partner, RepaymentFunding
from tests.core.concurrency import at_once
from tests.factories import DOLLAR
from tests.support import books
from tests.support.actors import approve_usdc, send_as, transfer_usdc
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def borrowed(chain, lender, settle):
    """A settled loan of $1000 of the first user."""
    assert lender.borrow(chain.users[0], 1_000).status_code == 202
    settle()
    return lender


@pytest.fixture
def proxy(chain, settings) -> Iterator[RpcProxy]:
    """A proxy between the platform and the node."""
    with RpcProxy(chain.url) as between:
        settings.CHAIN_RPC_URLS = [between.url]
        clients.get_client.cache_clear()
        yield between
    clients.get_client.cache_clear()


@pytest.fixture
def executor_balance(chain) -> Callable[[], int]:
    return lambda: chain.usdc_balance(chain.addresses["executor"])


def send_to_platform(chain, dollars=100, partner=0) -> str:
    sender = chain.world.partners[partner].settlement_address
    return transfer_usdc(chain, sender, chain.addresses["executor"], dollars * DOLLAR)


def signed_transfer(chain, dollars) -> str:
    """The raw bytes of the partner's transfer, to be sent again after a reorg took it."""
    partner = chain.world.partners[0]
    transaction = {
        "to": chain.addresses["usdc"],
        "data": encode_call("transfer(address,uint256)", [chain.addresses["executor"], dollars * DOLLAR]),
        "nonce": int(chain.rpc("eth_getTransactionCount", partner.settlement_address, "latest"), 16),
        "gas": 100_000,
        "maxFeePerGas": 10**11,
        "maxPriorityFeePerGas": 10**9,
        "chainId": int(chain.rpc("eth_chainId"), 16),
        "value": 0,
    }
    raw = Account.sign_transaction(transaction, partner.settlement_private_key).raw_transaction
    return "0x" + raw.hex().removeprefix("0x")


def reorg(chain, depth) -> None:
    """The newest `depth` blocks are replaced by empty ones; what was in them is nowhere."""
    chain.rpc("anvil_reorg", depth, [])


def refused(lender, code, dollars=10, **extra) -> dict:
    answer = lender.repay(dollars * DOLLAR, **extra)
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.json()
    assert "repaymentTxHash" in answer.json()["details"]
    return answer.json()


class TestHashesThatProveNothing:
    """Each is refused with a code of its own, and nothing is accepted."""

    @pytest.fixture(autouse=True)
    def _nothing_is_accepted(self, borrowed, executor_balance):
        before = executor_balance()
        yield
        assert not Repayment.objects.exists()
        assert executor_balance() >= before
        assert not FundingTransfer.objects.filter(used__gt=0).exists()

    def test_forged(self, borrowed):
        body = refused(borrowed, "transfer_not_found", repaymentTxHash="0x" + "12" * 32)
        assert body["retryable"] is False

    def test_of_another_partner(self, chain, borrowed):
        refused(borrowed, "transfer_not_to_platform", repaymentTxHash=send_to_platform(chain, partner=1))

    def test_to_somebody_else(self, chain, borrowed):
        settlement = borrowed.partner.settlement_address
        tx_hash = transfer_usdc(chain, settlement, chain.addresses["treasury"], 100 * DOLLAR)
        refused(borrowed, "transfer_not_to_platform", repaymentTxHash=tx_hash)

    def test_of_a_token_that_only_looks_like_usdc(self, chain, borrowed):
        """It has the same code and says the same words, from another address."""
        settlement = borrowed.partner.settlement_address
        chain.rpc(
            "anvil_setCode", fake := "0x" + "fa" * 20, chain.rpc("eth_getCode", chain.addresses["usdc"], "latest")
        )
        slot = _balance_slot(chain, settlement)
        chain.rpc("anvil_setStorageAt", fake, slot, "0x" + f"{10**12:064x}")
        data = encode_call("transfer(address,uint256)", [chain.addresses["executor"], 100 * DOLLAR])
        tx_hash = send_as(chain, settlement, fake, data)
        assert len(chain.rpc("eth_getTransactionReceipt", tx_hash)["logs"]) == 1
        refused(borrowed, "transfer_not_to_platform", repaymentTxHash=tx_hash)

    def test_reverted(self, chain, borrowed):
        settlement = borrowed.partner.settlement_address
        data = encode_call("transfer(address,uint256)", [chain.addresses["executor"], 10**18])
        chain.rpc("anvil_impersonateAccount", settlement)
        transaction = {"from": settlement, "to": chain.addresses["usdc"], "data": data, "gas": hex(100_000)}
        tx_hash = chain.rpc("eth_sendTransaction", transaction)
        chain.mine()
        assert chain.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x0"
        refused(borrowed, "transfer_reverted", repaymentTxHash=tx_hash)

    def test_not_mined_yet(self, chain, borrowed):
        tx_hash = chain.rpc("eth_sendRawTransaction", signed_transfer(chain, 100))
        body = refused(borrowed, "transfer_unconfirmed", repaymentTxHash=tx_hash)
        assert body["retryable"] is True

    def test_not_deep_enough_until_it_is(self, chain, borrowed, settings):
        tx_hash = send_to_platform(chain)
        settings.CHAIN_CONFIRMATIONS = 3
        chain.mine()
        assert refused(borrowed, "transfer_unconfirmed", repaymentTxHash=tx_hash)["retryable"] is True
        chain.mine()
        sender = borrowed.partner.settlement_address
        (proven,) = funding.prove_transfers(tx_hash=tx_hash, senders=[sender])
        assert (proven.sender, proven.value) == (sender, 100 * DOLLAR)

    def test_our_own_pay_out(self, borrowed):
        refused(borrowed, "transfer_not_to_platform", repaymentTxHash=Operation.objects.get().tx_hash)

    def test_too_small(self, chain, borrowed):
        body = refused(borrowed, "transfer_insufficient", dollars=101, repaymentTxHash=send_to_platform(chain))
        assert body["message"] == "repaymentTxHash: $100 of the transfer is not yet used"
        assert body["details"]["unused"] == str(100 * DOLLAR)

    def test_reorged_away_after_it_was_presented(self, chain, borrowed):
        tx_hash = send_to_platform(chain)
        refused(borrowed, "transfer_insufficient", dollars=101, repaymentTxHash=tx_hash)
        reorg(chain, 1)
        assert refused(borrowed, "transfer_reorged", repaymentTxHash=tx_hash)["retryable"] is True

    @pytest.mark.parametrize("data", ["0x", "0x01", "not hexadecimal", "0x" + "00" * 31 + "05" + "00" * 32])
    def test_a_log_of_usdc_that_says_no_amount(self, chain, borrowed, proxy, data):
        tx_hash = send_to_platform(chain)

        def without_amount(receipt):
            return {**receipt, "logs": [{**log, "data": data} for log in receipt["logs"]]}

        proxy.rewrite("eth_getTransactionReceipt", without_amount)
        refused(borrowed, "transfer_not_to_platform", repaymentTxHash=tx_hash)

    def test_a_receipt_of_a_block_that_is_not_canonical(self, chain, borrowed, proxy):
        """A node that still shows a receipt of a block which others replaced."""
        tx_hash = send_to_platform(chain)
        proxy.rewrite("eth_getTransactionReceipt", lambda receipt: {**receipt, "blockHash": "0x" + "ab" * 32})
        refused(borrowed, "transfer_reorged", repaymentTxHash=tx_hash)


def _balance_slot(chain, owner: str) -> str:
    """The storage slot of the owner's balance in our USDC: the mapping's, found by its value."""
    expected = chain.usdc_balance(owner)
    for index in range(12):
        slot = "0x" + keccak(bytes.fromhex(owner[2:].rjust(64, "0") + f"{index:064x}")).hex()
        if int(chain.rpc("eth_getStorageAt", chain.addresses["usdc"], slot, "latest"), 16) == expected:
            return slot
    raise AssertionError("USDC keeps its balances elsewhere")


def test_a_used_up_transfer_says_so_and_our_own_pull_is_no_transfer_at_all(chain, borrowed, settle):
    tx_hash = send_to_platform(chain)
    borrowed.repay(100 * DOLLAR, repaymentTxHash=tx_hash)
    settle()
    borrowed.repay(50 * DOLLAR)
    settle()
    pulled = borrowed.loan()["repaymentHistory"][1]["txHash"]

    assert refused(borrowed, "transfer_already_used", repaymentTxHash=tx_hash)["details"]["unused"] == "0"
    refused(borrowed, "transfer_not_to_platform", repaymentTxHash=pulled)
    assert borrowed.loan()["remainingDebt"] == str(850 * DOLLAR)


@pytest.mark.parametrize(
    "method", ["eth_getTransactionReceipt", "eth_getTransactionByHash", "eth_blockNumber", "eth_getBlockByNumber"]
)
@pytest.mark.parametrize("message", ["internal error", "header not found", "execution reverted"])
def test_a_node_that_refuses_to_tell_of_a_transfer_is_503_never_500(chain, borrowed, proxy, method, message):
    tx_hash = send_to_platform(chain)
    proxy.refuse(method, message, times=None)

    answer = borrowed.repay(10 * DOLLAR, repaymentTxHash=tx_hash)

    assert (answer.status_code, answer.json()["code"]) == (503, "chain_unavailable")
    assert answer.headers["Retry-After"] == "2"
    assert not Repayment.objects.exists()


@pytest.mark.parametrize("method", ["eth_call", "eth_getBlockByNumber"])
def test_a_node_that_refuses_other_readings_is_503_for_every_endpoint(chain, borrowed, proxy, method):
    user = chain.users[0]
    proxy.refuse(method, "missing trie node", times=None)
    chain.mine()
    readings.forget_block()

    answers = [
        borrowed.borrow(user, 10, "loan-2"),
        borrowed.get(f"/partners/public/oaid/{user.oaid_token_id}/credit-line"),
        borrowed.get(f"/partners/public/position/{user.position_id}/details"),
    ]
    if method == "eth_call":
        answers.append(borrowed.repay(10 * DOLLAR))

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(503, "chain_unavailable")}


def test_16_repayments_at_once_share_a_transfer_to_the_last_base_unit(chain, lender, settle):
    user = chain.users[1]
    for number in range(16):
        assert lender.borrow(user, 20, f"loan-{number}").status_code == 202
    settle()
    tx_hash = send_to_platform(chain)

    answers = at_once(16, lambda n: lender.repay(10 * DOLLAR, f"loan-{n}", repaymentTxHash=tx_hash))
    settle()

    outcomes = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert outcomes == {(202, None): 10, (400, "transfer_already_used"): 6}
    transfer = FundingTransfer.objects.get()
    assert (transfer.value, transfer.used) == (100 * DOLLAR, 100 * DOLLAR)
    assert Repayment.objects.filter(status="SETTLED", amount=10 * DOLLAR).count() == 10


def test_uneven_pieces_at_once_never_pass_the_transfers_value(chain, lender, settle, executor_balance):
    user, pieces = chain.users[1], [1, 3, 7, 13, 17, 19, 23, 29, 31, 37, 41, 43]
    for number in range(len(pieces)):
        lender.borrow(user, 50, f"loan-{number}")
    settle()
    before = executor_balance()
    tx_hash = send_to_platform(chain)

    answers = at_once(len(pieces), lambda n: lender.repay(pieces[n] * DOLLAR, f"loan-{n}", repaymentTxHash=tx_hash))
    settle()

    accepted = sum(piece for piece, answer in zip(pieces, answers, strict=True) if answer.status_code == 202)
    assert accepted <= 100
    assert FundingTransfer.objects.get().used == accepted * DOLLAR
    assert executor_balance() - before == (100 - accepted) * DOLLAR
    left = 100 - accepted
    smallest_refused = min((p for p, a in zip(pieces, answers, strict=True) if a.status_code != 202), default=left + 1)
    assert smallest_refused > left


def test_a_failed_repayment_gives_its_piece_back_once(chain, borrowed, settle):
    """The executor is short by its own fault: the claim ends with the repayment, and the transfer is whole again."""
    tx_hash = send_to_platform(chain)
    executor = chain.addresses["executor"]
    assert borrowed.repay(60 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    everything = chain.usdc_balance(executor)
    for account in (executor, chain.addresses["treasury"]):
        chain.rpc("anvil_setBalance", account, hex(10**18))
    transfer_usdc(chain, executor, chain.addresses["treasury"], everything)

    settle()

    assert Repayment.objects.get().status == "FAILED"
    assert FundingTransfer.objects.get().used == 0
    transfer_usdc(chain, chain.addresses["treasury"], executor, everything)
    assert borrowed.repay(100 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
    settle()
    assert borrowed.loan()["remainingDebt"] == str(900 * DOLLAR)


class TestATransferThatAReorgTakesBack:
    """Claimed, accepted, and then gone: nothing is paid from the platform's own money, whenever it happens."""

    @pytest.fixture(autouse=True)
    def _the_platform_has_money_of_its_own(self, chain, borrowed):
        send_to_platform(chain, 5_000, partner=1)
        chain.mine()

    def test_before_its_repayment_is_bundled(self, chain, borrowed, settle, executor_balance):
        before = executor_balance()
        tx_hash = send_to_platform(chain)
        assert borrowed.repay(100 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        reorg(chain, 1)

        settle()

        repayment = Repayment.objects.get()
        assert repayment.status == "FAILED"
        assert repayment.failure_reason.startswith("BlockReplaced(number=")
        assert executor_balance() == before
        assert borrowed.loan()["remainingDebt"] == str(1_000 * DOLLAR)
        assert FundingTransfer.objects.get().used == 0
        refused(borrowed, "transfer_reorged", repaymentTxHash=tx_hash)

    def test_after_its_transaction_was_sent_and_before_it_is_mined(self, chain, borrowed, settle, executor_balance):
        before = executor_balance()
        tx_hash = send_to_platform(chain)
        borrowed.repay(100 * DOLLAR, repaymentTxHash=tx_hash)
        driver.drive_once()
        transaction = chain.rpc("txpool_content")["pending"]
        assert transaction
        reorg(chain, 1)

        settle()

        repayment = Repayment.objects.get()
        assert (repayment.status, repayment.operation.state) == ("FAILED", "FAILED")
        assert repayment.failure_reason.startswith("BlockReplaced(number=")
        assert executor_balance() == before
        assert borrowed.loan()["remainingDebt"] == str(1_000 * DOLLAR)

    def test_together_with_its_mined_transaction_which_is_mined_again_without_it(
        self, chain, borrowed, settings, executor_balance
    ):
        """Two blocks deep counts here; three are replaced. The transaction's bytes go out again, and pay nothing."""
        before = executor_balance()
        tx_hash = send_to_platform(chain)
        settings.CHAIN_CONFIRMATIONS = 2
        chain.mine()
        assert borrowed.repay(100 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        driver.drive_once()
        chain.mine()
        driver.drive_once()
        assert Operation.objects.get(kind="repay").state == "EXECUTED"
        assert executor_balance() == before
        reorg(chain, 3)

        _settle_until_final(chain, Operation.objects.get(kind="repay").pk)

        assert Operation.objects.get(kind="repay").reason.startswith("BlockReplaced(number=")
        assert Repayment.objects.get().status == "FAILED"
        assert executor_balance() == before
        assert borrowed.loan()["remainingDebt"] == str(1_000 * DOLLAR)
        assert FundingTransfer.objects.get().used == 0
        assert books.discrepancies() == []

    def test_and_puts_into_another_block_is_still_one_transfer(self, chain, borrowed, settle, executor_balance):
        """In its new block it has another log index; what was claimed of it stays claimed."""
        before = executor_balance()
        raw = signed_transfer(chain, 100)
        tx_hash = chain.rpc("eth_sendRawTransaction", raw)
        chain.mine()
        old = chain.rpc("eth_getTransactionReceipt", tx_hash)
        assert borrowed.repay(60 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        reorg(chain, 1)
        other = chain.world.partners[1].settlement_address
        chain.rpc("anvil_impersonateAccount", other)
        data = encode_call("transfer(address,uint256)", [chain.addresses["treasury"], 1])
        high_fee = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
        chain.rpc("eth_sendTransaction", {"from": other, "to": chain.addresses["usdc"], "data": data, **high_fee})
        chain.rpc("eth_sendRawTransaction", raw)
        chain.mine()
        new = chain.rpc("eth_getTransactionReceipt", tx_hash)
        assert new["logs"][0]["logIndex"] != old["logs"][0]["logIndex"]

        settle()
        assert Repayment.objects.get().status == "FAILED"
        assert borrowed.repay(60 * DOLLAR, repaymentTxHash=tx_hash).status_code == 202
        refused_or_busy = borrowed.repay(60 * DOLLAR, repaymentTxHash=tx_hash)
        settle()

        assert refused_or_busy.status_code == 409
        body = refused(borrowed, "transfer_insufficient", dollars=41, repaymentTxHash=tx_hash)
        assert body["details"]["unused"] == str(40 * DOLLAR)
        transfer = FundingTransfer.objects.get()
        assert (transfer.used, transfer.block_hash) == (60 * DOLLAR, new["blockHash"])
        assert executor_balance() - before == 40 * DOLLAR


def _settle_until_final(chain, operation_pk) -> None:
    for _ in range(20):
        driver.drive_once()
        chain.mine()
        driver.drive_once()
        settle_due()
        if Operation.objects.get(pk=operation_pk).acknowledged:
            return
    raise AssertionError("the operation does not become final")


class TestAPulledRepayment:
    def test_takes_exactly_its_amount_in_the_operation_that_pays(self, chain, borrowed, settle, executor_balance):
        settlement = borrowed.partner.settlement_address
        before = chain.usdc_balance(settlement), executor_balance()

        borrowed.repay(123 * DOLLAR)
        settle()

        assert Repayment.objects.get().funding == FundingSource.PULLED
        assert (before[0] - chain.usdc_balance(settlement), executor_balance()) == (123 * DOLLAR, before[1])

    @pytest.mark.parametrize("what", ["allowance", "balance"])
    def test_fails_whole_where_the_funds_are_withdrawn_after_acceptance(
        self, chain, borrowed, settle, executor_balance, what
    ):
        settlement, before = borrowed.partner.settlement_address, executor_balance()
        assert borrowed.repay(100 * DOLLAR).status_code == 202
        if what == "allowance":
            approve_usdc(chain, settlement, 100 * DOLLAR - 1)
        else:
            keep = chain.usdc_balance(settlement) - (100 * DOLLAR - 1)
            transfer_usdc(chain, settlement, chain.addresses["treasury"], keep)

        settle()

        repayment = Repayment.objects.get()
        assert repayment.status == "FAILED"
        assert "Insufficient" in repayment.failure_reason
        assert executor_balance() == before
        assert borrowed.loan()["remainingDebt"] == str(1_000 * DOLLAR)

    @pytest.mark.parametrize("sent", [False, True])
    def test_fails_whole_where_the_allowance_falls_while_its_transaction_is_under_way(
        self, chain, borrowed, settle, executor_balance, sent
    ):
        settlement, before = borrowed.partner.settlement_address, executor_balance()
        borrowed.repay(100 * DOLLAR)
        driver.drive_once()
        chain.rpc("anvil_dropAllTransactions")  # the transaction is resent after the allowance fell
        approve_usdc(chain, settlement, 0)
        if sent:
            chain.mine(3)

        settle()

        assert Repayment.objects.get().status == "FAILED"
        assert executor_balance() == before
        assert borrowed.loan()["remainingDebt"] == str(1_000 * DOLLAR)

    def test_of_two_that_share_one_allowance_one_fails_and_the_platform_pays_neither(
        self, chain, lender, settle, executor_balance
    ):
        for name in ("loan-1", "loan-2"):
            lender.borrow(chain.users[1], 200, name)
        settle()
        before = executor_balance()
        approve_usdc(chain, lender.partner.settlement_address, 150 * DOLLAR)

        assert [lender.repay(100 * DOLLAR, name).status_code for name in ("loan-1", "loan-2")] == [202, 202]
        settle()

        assert sorted(Repayment.objects.values_list("status", flat=True)) == ["FAILED", "SETTLED"]
        assert executor_balance() == before

    @pytest.mark.parametrize("missing", ["allowance", "balance"])
    def test_is_refused_to_the_base_unit_where_funds_are_missing_at_acceptance(self, chain, borrowed, missing):
        settlement = borrowed.partner.settlement_address
        if missing == "allowance":
            approve_usdc(chain, settlement, 10 * DOLLAR - 1)
        else:
            rest = chain.usdc_balance(settlement) - (10 * DOLLAR - 1)
            transfer_usdc(chain, settlement, chain.addresses["treasury"], rest)

        answer = borrowed.repay(10 * DOLLAR)

        assert (answer.status_code, answer.json()["code"]) == (400, "repayment_not_funded")
        assert borrowed.repay(10 * DOLLAR - 1).status_code == 202


class TestATrustedPartner:
    @pytest.fixture
    def trusted(self, borrowed):
        Partner.objects.filter(pk=borrowed.partner.pk).update(repayment_funding=RepaymentFunding.TRUSTED)
        return borrowed

    def test_is_pulled_from_all_the_same_where_it_can_pay(self, chain, trusted, settle, executor_balance):
        before = executor_balance()
        trusted.repay(10 * DOLLAR)
        settle()
        assert Repayment.objects.get().funding == FundingSource.PULLED
        assert executor_balance() == before

    def test_is_paid_for_from_the_platform_account_where_it_cannot(self, chain, trusted, settle, executor_balance):
        approve_usdc(chain, trusted.partner.settlement_address, 0)
        send_to_platform(chain, 10)
        before = executor_balance()
        trusted.repay(10 * DOLLAR)
        settle()
        assert Repayment.objects.get().funding == FundingSource.TRUSTED
        assert before - executor_balance() == 10 * DOLLAR

    def test_is_held_to_a_hash_that_it_names(self, chain, trusted):
        refused(trusted, "transfer_not_found", repaymentTxHash="0x" + "34" * 32)
        assert not Repayment.objects.exists()

    def test_is_refused_where_the_platform_account_is_short(self, chain, trusted, executor_balance):
        approve_usdc(chain, trusted.partner.settlement_address, 0)
        held = executor_balance()
        assert held < 500 * DOLLAR

        answer = trusted.repay(held + 1)

        assert (answer.status_code, answer.json()["code"]) == (400, "repayment_not_funded")
        assert not Repayment.objects.exists()
        assert executor_balance() == held
        assert trusted.loan()["remainingDebt"] == str(1_000 * DOLLAR)
        assert trusted.repay(held).status_code == 202  # the fees are the platform's


@pytest.mark.parametrize(
    ("left", "code", "unused"),
    [
        (-1, "transfer_already_used", "0"),
        (0, "transfer_already_used", "0"),
        (1, "transfer_insufficient", "1"),
    ],
)
def test_a_transfer_spent_on_trust_is_refused_with_what_is_left_of_it(left, code, unused):
    """Below nothing is left where more was spent than came."""
    refusal = funding.spent_already(left)
    assert (str(refusal.code), refusal.details["unused"]) == (code, unused)
