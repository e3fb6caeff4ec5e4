"""Guards taken away: what they refuse happens in no ordinary story, so no other test would miss them."""

import contextlib
from typing import Any

from tests.mutations.mutant import Mutant, faults, replace


def believe_a_receipt_of_any_block() -> None:
    """The block that a receipt names is not held against the chain's."""
    from chain.settlement import tracking
    from chain.settlement.settling import MinedTransaction
    from chain.settlement.transitions import Block

    def broken(_: Any) -> Any:
        def mined_transactions(_engine: Any, attempts: Any, receipts: Any) -> list[MinedTransaction]:
            mined = [(*pair, receipt) for pair, receipt in zip(attempts, receipts, strict=True) if receipt is not None]
            return [
                MinedTransaction(transaction, attempt, receipt, Block.from_json(_named_in(receipt)))
                for transaction, attempt, receipt in mined
            ]

        return mined_transactions

    replace(tracking, "_mined_transactions", broken)


def _named_in(receipt: dict[str, Any]) -> dict[str, Any]:
    return {"number": receipt["blockNumber"], "hash": receipt["blockHash"], "timestamp": "0x1"}


def believe_a_silent_receipt() -> None:
    """A transaction that succeeded and left no event is judged at once."""
    from chain.settlement import settling

    replace(settling, "SILENT_RECEIPT_BLOCKS", lambda _: -(10**9))


def send_what_left_the_queue() -> None:
    """Operations are bound to their transaction, however many of them were still queued."""
    from chain.settlement import bundling
    from chain.wallet.lease import LeaseLost

    def broken(original: Any) -> Any:
        def bind(transaction: Any, operations: Any) -> None:
            with contextlib.suppress(LeaseLost):
                original(transaction, operations)

        return bind

    replace(bundling, "_bind", broken)


def adopt_at_any_depth() -> None:
    """An execution found on the chain settles its operation, however new its block is."""
    import dataclasses

    from chain.settlement import adoption, settling

    def broken(original: Any) -> Any:
        def find(engine: Any, operation: Any) -> Any:
            execution = original(engine, operation)
            return None if execution is None else dataclasses.replace(execution, depth=10**9)

        return find

    replace(adoption, "find_execution", broken)
    replace(settling, "find_execution", broken)


def adopt_what_was_skipped_at_any_depth() -> None:
    """An operation that the executor skipped is settled by its earlier execution, whoever shows that."""
    from chain.settlement import settling
    from chain.settlement.adoption import find_execution

    def broken(_: Any) -> Any:
        def judge_skipped(engine: Any, mined: Any, operation: Any) -> None:
            execution = find_execution(engine, operation)
            if execution is not None:
                mined.adopted.append((operation, execution.verdict, execution.fields()))

        return judge_skipped

    replace(settling, "_judge_skipped", broken)


def release_anybodys_lease() -> None:
    """A driver that ends frees the wallet, whoever has it by then."""
    from chain.models import PlatformWallet
    from chain.wallet.lease import Lease

    def broken(_: Any) -> Any:
        def release(self: Any) -> None:
            PlatformWallet.objects.filter(pk=self.wallet_id).update(lease_until=None, lease_holder="")

        return release

    replace(Lease, "release", broken)


def resume_on_any_answer() -> None:
    """A paused wallet is active again as soon as a node says anything."""
    from chain.models import WalletStatus
    from chain.settlement import sending

    def broken(_: Any) -> Any:
        def resume(engine: Any, _answers: Any) -> None:
            if engine.wallet.status == WalletStatus.PAUSED:
                engine.set_status(WalletStatus.ACTIVE, from_states=(WalletStatus.PAUSED,))

        return resume

    replace(sending, "_resume_if_accepted", broken)


def without(manager: Any, condition: str) -> Any:
    """The manager, deaf to one condition of its filters."""

    class Deaf:
        def __getattr__(self, name: str) -> Any:
            return getattr(manager, name)

        def filter(self, *args: Any, **conditions: Any) -> Any:
            conditions.pop(condition, None)
            return manager.filter(*args, **conditions)

    return Deaf()


def _ignore(module: Any, model: str, condition: str) -> None:
    """In that module, queries of the model pay no regard to a condition."""
    original = getattr(module, model)

    class Rows:
        DoesNotExist = original.DoesNotExist
        objects = without(original.objects, condition)

    replace(module, model, lambda _: Rows)


def reserve_against_any_reading() -> None:
    """A reading from before a loan landed is good enough to reserve credit against (M1)."""
    from loans.positions import credit

    _ignore(credit, "OaidCredit", "settled_block__lte")


def claim_from_any_block() -> None:
    """A transfer is claimed as it was read, though it stands in another block by now."""
    from chain.lending import funding

    _ignore(funding, "FundingTransfer", "block_hash")


def believe_the_first_node_about_a_transfer() -> None:
    """What the second node shows at the transfer's height does not count."""
    from chain.lending import funding

    def broken(original: Any) -> Any:
        return lambda method, params: original(method, params)[:1]

    replace(funding, "read_everywhere", broken)


def believe_the_first_receipt_of_a_transfer() -> None:
    """What the second node tells in the transfer's receipt does not count."""
    from chain.lending import funding

    def broken(_: Any) -> Any:
        return lambda client, receipts: {receipt["transactionHash"] for receipt in receipts}

    replace(funding, "corroborated", broken)


GUARDS = {
    "believe_a_receipt_of_any_block": Mutant(
        believe_a_receipt_of_any_block,
        faults("chain/test_guards", "test_a_receipt_whose_block_is_not_canonical_settles_nothing"),
    ),
    "believe_a_silent_receipt": Mutant(
        believe_a_silent_receipt,
        faults("chain/test_guards", "test_a_receipt_without_a_word_about_its_operations_is_read_again"),
    ),
    "send_what_left_the_queue": Mutant(
        send_what_left_the_queue,
        faults("chain/test_guards", "test_an_operation_that_leaves_the_queue_while_it_is_simulated_is_not_sent"),
    ),
    "adopt_at_any_depth": Mutant(
        adopt_at_any_depth,
        faults(
            "chain/test_guards",
            "test_what_the_chain_executed_is_not_adopted_before_it_is_deep_enough",
        ),
    ),
    "adopt_what_was_skipped_at_any_depth": Mutant(
        adopt_what_was_skipped_at_any_depth,
        faults(
            "chain/test_guards",
            "test_a_skipped_operation_is_not_adopted_while_another_endpoint_does_not_show_its_execution",
        ),
    ),
    "release_anybodys_lease": Mutant(
        release_anybodys_lease,
        faults("chain/test_guards", "test_a_driver_that_lost_its_lease_does_not_release_that_of_its_successor"),
    ),
    "resume_on_any_answer": Mutant(
        resume_on_any_answer,
        faults("chain/test_guards", "test_a_paused_wallet_does_not_resume_on_an_answer_that_takes_nothing"),
    ),
    "reserve_against_any_reading": Mutant(
        reserve_against_any_reading,
        faults("loans/test_guards", "test_a_reading_from_before_a_loan_landed_is_not_reserved_against"),
    ),
    "claim_from_any_block": Mutant(
        claim_from_any_block,
        faults("loans/test_guards", "test_a_transfer_that_moved_since_it_was_proven_is_not_claimed_as_it_was"),
    ),
    "believe_the_first_node_about_a_transfer": Mutant(
        believe_the_first_node_about_a_transfer,
        faults("loans/test_guards", "test_a_transfer_that_one_node_shows_in_another_block_funds_nothing"),
    ),
    "believe_the_first_receipt_of_a_transfer": Mutant(
        believe_the_first_receipt_of_a_transfer,
        faults("loans/test_guards", "test_a_transfer_that_one_node_tells_otherwise_of_funds_nothing"),
    ),
}
