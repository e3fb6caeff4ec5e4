"""Engines that are broken on purpose: what is changed, and the fault tests that must notice.

Each mutant is one of the mistakes that settlement systems are known for, put into the running process by replacing a
function. Where a name has moved the mutant fails loudly: it replaces only what is there.
"""

from typing import Any

from tests.mutations.beliefs import BELIEFS
from tests.mutations.guards import GUARDS
from tests.mutations.mutant import Mutant, faults, replace


def abandon(transaction: Any) -> None:
    """Take a transaction for lost and queue its operations for another nonce."""
    from chain.models import ChainTransaction, Operation, OperationState, TransactionState

    ChainTransaction.objects.filter(pk=transaction.pk).update(state=TransactionState.CANCELLED)
    bundled = Operation.objects.filter(transaction=transaction.pk, state=OperationState.BUNDLED)
    bundled.update(state=OperationState.QUEUED, transaction=None)


def renonce_on_timeout() -> None:
    """A time-out is taken for a failure."""
    from chain.rpc.errors import SendClass
    from chain.settlement import sending

    def broken(original: Any) -> Any:
        def react(engine: Any, transaction: Any, answer: Any, *, may_bump: bool) -> None:
            if answer.meaning == SendClass.UNKNOWN:
                abandon(transaction)
            original(engine, transaction, answer, may_bump=may_bump)

        return react

    replace(sending, "_react", broken)


def save_the_bump_after_the_send() -> None:
    """A bumped hash is lost in a crash between the two."""
    from chain.settlement import sending

    waiting: list[tuple[Any, ...]] = []

    def later(_: Any) -> Any:
        return lambda engine, transaction, attempt, **changes: waiting.append((engine, transaction, attempt, changes))

    commit = sending._commit_attempt

    def first(original: Any) -> Any:
        def send(engine: Any, sends: Any, **options: Any) -> None:
            if waiting:
                engine.client.send_raw([attempt.raw for _, attempt in sends])
            while waiting:
                owner, transaction, attempt, changes = waiting.pop()
                commit(owner, transaction, attempt, **changes)
            original(engine, sends, **options)

        return send

    replace(sending, "_commit_attempt", later)
    replace(sending, "send_attempts", first)


def believe_one_null_receipt() -> None:
    """A receipt that is not there means that the transaction is not there."""
    from chain.settlement import tracking

    def broken(_: Any) -> Any:
        def push(_engine: Any, waiting: list[Any]) -> None:
            for transaction in waiting:
                abandon(transaction)

        return push

    replace(tracking, "_push", broken)


def twice(original: Any) -> Any:
    """Do it, and do it again."""

    def call(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        original(*args, **kwargs)

    return call


def release_the_credit_twice() -> None:
    """A failed loan's reservation of the OAID's credit is given back two times."""
    from loans.positions import credit

    replace(credit, "release_reservation", twice)


def release_the_limits_twice() -> None:
    """A failed loan's part of the partner's limits is given back two times."""
    from partners import limits

    replace(limits, "release_limits", twice)


def let_the_counter_fall() -> None:
    """The nonce counter follows whatever the node says."""
    from chain.models import PlatformWallet
    from chain.settlement import driver

    def broken(original: Any) -> Any:
        def recover(engine: Any) -> None:
            count = engine.client.call("eth_getTransactionCount", [engine.wallet.address, "latest"])
            PlatformWallet.objects.filter(pk=engine.wallet.pk).update(next_nonce=int(count, 16))
            engine.wallet.refresh_from_db()
            original(engine)

        return recover

    replace(driver, "recover", broken)


def send_after_a_restore_without_looking() -> None:
    """A restored database goes on as if nothing had happened."""
    from chain.models import PlatformWallet, WalletStatus
    from chain.settlement import restoring

    def broken(_: Any) -> Any:
        def scan(engine: Any) -> None:
            PlatformWallet.objects.filter(pk=engine.wallet.pk).update(
                scan_pending=False, status=WalletStatus.ACTIVE, status_reason=""
            )
            engine.wallet.refresh_from_db()

        return scan

    replace(restoring, "compare_with_chain", broken)


def believe_one_node_about_a_reorg() -> None:
    """A block that one node does not have is gone."""
    from chain.settlement import reorgs

    replace(reorgs, "_is_orphaned", lambda _: lambda *_args: True)


def tell_the_outcome_at_the_first_block() -> None:
    """The depth that was asked for is not waited for."""
    from chain.settlement.engine import Engine

    replace(Engine, "confirmations", lambda _: property(lambda _self: 1))


def take_unknown_words_for_a_refusal() -> None:
    """An error text that nobody listed means that no node will ever take the transaction."""
    from chain.rpc import clients
    from chain.rpc.errors import SendClass

    def broken(original: Any) -> Any:
        def classify(message: str) -> SendClass:
            meaning: SendClass = original(message)
            return SendClass.MALFORMED if meaning == SendClass.UNKNOWN else meaning

        return classify

    replace(clients, "classify", broken)


def believe_the_event_without_its_effect() -> None:
    """`OperationExecuted` is enough; the amounts are not looked at."""
    from chain.settlement import verdicts

    replace(verdicts, "match_effect", lambda _: lambda _effect, logs: list(logs))


def bump_too_little() -> None:
    """Five per cent more, where geth wants ten."""
    from chain.wallet import fees

    replace(fees, "_raised", lambda _: lambda amount: amount * 21 // 20 + 1)


def bump_by_the_clock() -> None:
    """Time passes on a halted chain too."""
    from chain.settlement import tracking

    replace(tracking, "_wants_bump", lambda _: lambda *_args: True)


def look_at_no_reorg() -> None:
    """What is confirmed is confirmed."""
    from chain.settlement import recovery, tracking

    for module in (recovery, tracking):
        replace(module, "roll_back_orphaned", lambda _: lambda _engine: False)


def forget_that_the_owner_acted() -> None:
    """A reorg reopens the operation and nobody takes the loan back."""
    from chain.settlement import reorgs

    replace(reorgs, "_reopen", lambda _: lambda _operations: None)


def sign_for_any_chain() -> None:
    """The node's chain id is not asked for."""
    from chain.rpc.endpoints import RpcEndpoint

    replace(RpcEndpoint, "_verify", lambda _: lambda _self, _patience: None)


def write_without_the_lease() -> None:
    """A driver that lost its lease goes on writing."""
    from chain.wallet.lease import Lease

    replace(Lease, "renew", lambda _: lambda _self, **_kwargs: None)


MUTANTS = {
    "renonce_on_timeout": Mutant(
        renonce_on_timeout, faults("chain/test_faults_network", "test_f04_accepted_but_the_answer_is_lost")
    ),
    "save_the_bump_after_the_send": Mutant(
        save_the_bump_after_the_send,
        faults("chain/test_faults_mempool", "test_f20_stuck_below_the_price_the_lowest_is_bumped_after_five_blocks"),
    ),
    "believe_one_null_receipt": Mutant(
        believe_one_null_receipt,
        faults("chain/test_faults_network", "test_f07_the_receipt_is_null_n_times_after_mining"),
    ),
    "release_the_credit_twice": Mutant(
        release_the_credit_twice,
        faults("loans/test_faults_loans", "test_f29_the_user_takes_the_permission_back_between_send_and_mine"),
    ),
    "release_the_limits_twice": Mutant(
        release_the_limits_twice,
        faults("loans/test_faults_loans", "test_f29_the_user_takes_the_permission_back_between_send_and_mine"),
    ),
    "let_the_counter_fall": Mutant(
        let_the_counter_fall,
        faults(
            "chain/test_faults_submission",
            "test_f09_a_node_that_reports_a_stale_lower_nonce_does_not_lower_the_counter",
        ),
    ),
    "send_after_a_restore_without_looking": Mutant(
        send_after_a_restore_without_looking,
        faults(
            "chain/test_faults_submission",
            "test_f12_what_was_accepted_after_the_backup_is_told_to_a_person",
            "test_f12_frozen_until_every_open_operation_was_compared",
        ),
    ),
    "believe_one_node_about_a_reorg": Mutant(
        believe_one_node_about_a_reorg,
        faults("chain/test_faults_reorg", "test_f41_a_node_that_forks_on_its_own_is_not_believed_alone"),
    ),
    "tell_the_outcome_at_the_first_block": Mutant(
        tell_the_outcome_at_the_first_block,
        faults(
            "chain/test_faults_reorg",
            "test_f30_failed_then_reorged_then_a_success_is_never_told_as_a_failure",
            "test_f36_gone_below_the_confirmation_depth_it_was_told_to_nobody",
        ),
    ),
    "take_unknown_words_for_a_refusal": Mutant(
        take_unknown_words_for_a_refusal,
        faults("chain/test_faults_network", "test_f15_an_unknown_error_text_is_no_failure"),
    ),
    "believe_the_event_without_its_effect": Mutant(
        believe_the_event_without_its_effect,
        faults(
            "chain/test_faults_execution",
            "test_f31_an_execution_without_the_expected_log_or_amount_is_for_a_person",
        ),
    ),
    "bump_too_little": Mutant(
        bump_too_little,
        faults("chain/test_faults_mempool", "test_f23_every_replacement_is_dear_enough_for_geth"),
    ),
    "bump_by_the_clock": Mutant(
        bump_by_the_clock, faults("chain/test_faults_mempool", "test_f21_a_halted_chain_is_no_reason_to_bump")
    ),
    "look_at_no_reorg": Mutant(
        look_at_no_reorg,
        faults("chain/test_faults_reorg", "test_f36_the_receipt_is_gone_and_nobody_pooled_it_again"),
    ),
    "forget_that_the_owner_acted": Mutant(
        forget_that_the_owner_acted,
        faults(
            "loans/test_faults_loans",
            "test_f40_a_loan_reverted_past_confirmation_is_pending_again_and_settled_anew",
            "test_f40_a_loan_that_cannot_be_drawn_again_fails_and_releases_everything",
        ),
    ),
    "sign_for_any_chain": Mutant(
        sign_for_any_chain,
        faults("chain/test_faults_network", "test_f16_a_wrong_chain_is_neither_read_nor_signed_for"),
    ),
    "write_without_the_lease": Mutant(
        write_without_the_lease, faults("chain/test_faults_crash", "test_f11_a_stale_driver_writes_nothing")
    ),
    **GUARDS,
    **BELIEFS,
}
