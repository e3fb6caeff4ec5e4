"""Engines that believe too much: one node, one reading, the settings of today."""

import dataclasses
from typing import Any

from tests.mutations.mutant import Mutant, faults, replace


def call_a_later_block_final() -> None:
    """Six blocks that may still be replaced are taken for final."""
    from chain.rpc.evidence import Checkpoint
    from chain.settlement import reorgs

    def broken(original: Any) -> Any:
        def final_block(*args: Any, **kwargs: Any) -> Any:
            found = original(*args, **kwargs)
            return None if found is None else Checkpoint(found.number + 6, found.hash)

        return final_block

    replace(reorgs, "final_block", broken)


def follow_four_blocks() -> None:
    """What is settled is compared with the chain as long as it is among the newest four blocks."""
    from chain.settlement import reorgs

    replace(reorgs, "_floor", lambda _: lambda engine: max(engine.require_head().number - 4, 0))


def compare_from_what_is_final_now() -> None:
    """What became final while nothing ran is taken for what was seen."""
    from chain.settlement import reorgs

    def broken(_: Any) -> Any:
        def floor(engine: Any) -> int:
            return int(engine.fetch(("eth_getBlockByNumber", ["finalized", False]))[0]["number"], 16)

        return floor

    replace(reorgs, "_floor", broken)


def _change_counts(**changes: Any) -> None:
    from chain.settlement import nonces

    def broken(original: Any) -> Any:
        def read(engine: Any) -> Any:
            counts = original(engine)
            return dataclasses.replace(counts, **{name: change(counts) for name, change in changes.items()})

        return read

    replace(nonces, "count_nonces", broken)


def ignore_the_pool_in_recovery() -> None:
    """Only nonces in blocks count as used."""
    _change_counts(used=lambda counts: counts.mined)


def move_the_counter_at_once() -> None:
    """A count of nonces is believed before it is final."""
    _change_counts(final=lambda counts: counts.mined)


def send_to_the_first_that_takes_it() -> None:
    """One endpoint that says yes is enough."""
    from chain.rpc.clients import ChainClient

    def broken(original: Any) -> Any:
        def send_to(self: Any, endpoints: Any, raws: Any, answers: Any) -> None:
            original(self, endpoints[:1], raws, answers)

        return send_to

    replace(ChainClient, "_send_to", broken)


def believe_one_endpoint_about_an_outcome() -> None:
    """The receipt of whichever node answered settles."""
    from chain.settlement import settling

    replace(
        settling, "corroborated", lambda _: lambda _client, receipts: {item["transactionHash"] for item in receipts}
    )


def take_the_logs_that_come() -> None:
    """A block without logs has none, whatever its header tells."""
    from chain.rpc.log_ranges import RangeReader

    replace(RangeReader, "_with_missing", lambda _: lambda _self, found: found)


def read_logs_once() -> None:
    """What is final is not read a second time."""
    from chain.events import second_reading

    replace(second_reading, "verify_final_range", lambda _: lambda _reader, _cursor: False)


def look_for_nothing_missing() -> None:
    """A movement that does not follow the last one waits for an event that nobody asks for."""
    from loans.services import follow, settle

    for module in (follow, settle):
        replace(module, "find_missing", lambda _: lambda _gaps: False)


def judge_by_the_configured_executor() -> None:
    """Whose events prove an operation is what the settings say now."""
    from django.conf import settings

    from chain.settlement import settling

    def broken(original: Any) -> Any:
        return lambda logs, _executor: original(logs, settings.PLATFORM_EXECUTOR_ADDRESS)

    replace(settling, "split_logs", broken)


def follow_one_wallet() -> None:
    """A key that was rotated away leaves what it sent behind."""
    from chain import selectors

    replace(selectors, "retired_wallets", lambda _: list)


def _evidence(*tests: str) -> tuple[str, ...]:
    return faults("chain/test_faults_evidence", *tests)


def _following(*tests: str) -> tuple[str, ...]:
    return faults("loans/test_faults_following", *tests)


BELIEFS = {
    "call_a_later_block_final": Mutant(
        call_a_later_block_final, _evidence("test_f46_what_is_final_is_not_compared_again")
    ),
    "follow_four_blocks": Mutant(follow_four_blocks, _evidence("test_f46_a_reorg_above_the_final_block_however_deep")),
    "compare_from_what_is_final_now": Mutant(
        compare_from_what_is_final_now, _evidence("test_f46_reorged_while_no_driver_ran_and_final_since")
    ),
    "ignore_the_pool_in_recovery": Mutant(
        ignore_the_pool_in_recovery,
        _evidence("test_f48_a_foreign_transaction_in_the_pool_holds_sending_back_until_it_is_gone"),
    ),
    "move_the_counter_at_once": Mutant(
        move_the_counter_at_once,
        _evidence("test_f48_a_foreign_transaction_that_a_reorg_took_back_moves_nothing"),
    ),
    "send_to_the_first_that_takes_it": Mutant(
        send_to_the_first_that_takes_it,
        _evidence("test_f47_the_first_endpoint_takes_it_and_passes_nothing_on"),
    ),
    "believe_one_endpoint_about_an_outcome": Mutant(
        believe_one_endpoint_about_an_outcome,
        _evidence(
            "test_f51_an_outcome_is_told_when_every_endpoint_shows_it",
            "test_f51_a_receipt_that_the_endpoints_show_differently_is_told_to_nobody_but_a_person",
        ),
    ),
    "take_the_logs_that_come": Mutant(
        take_the_logs_that_come,
        _following("test_f45_a_block_without_the_logs_that_its_header_tells_of_is_asked_for_them"),
    ),
    "read_logs_once": Mutant(
        read_logs_once,
        _following(
            "test_f45_what_was_missed_is_found_when_it_is_final",
            "test_f45_an_event_that_was_never_there_is_taken_back_when_it_is_final",
        ),
    ),
    "look_for_nothing_missing": Mutant(
        look_for_nothing_missing,
        _following(
            "test_f45_what_was_missed_is_found_when_a_later_payment_does_not_fit",
            "test_f45_a_gap_in_a_position_is_found_by_the_events_that_follow_it",
        ),
    ),
    "judge_by_the_configured_executor": Mutant(
        judge_by_the_configured_executor,
        faults("chain/test_faults_authority", "test_f49_what_was_sent_to_the_old_executor_is_settled_by_its_events"),
    ),
    "follow_one_wallet": Mutant(
        follow_one_wallet,
        faults("chain/test_faults_authority", "test_f50_what_the_old_key_sent_is_settled_under_the_old_wallet"),
    ),
}
