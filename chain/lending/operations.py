"""What a borrow, a repayment and a payoff call, the logs that prove each of them, and what those logs say.

Amounts are USDC base units; addresses come from the settings.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from chain.lending.dialects import Borrow, dialect
from chain.lending.encoding import (
    DEBT_UPDATED_TOPIC,
    LOAN_REPAID_TOPIC,
    REPAID_TOPIC,
    TRANSFER_TOPIC,
    Call,
    address_topic,
    uint_topic,
)
from chain.lending.fast_codec import Log, event, function
from chain.models import Operation
from partner_platform.core.ethereum import ZERO_ADDRESS

_DEBT_UPDATED, _REPAID = event("SeniorPool", "DebtUpdated"), event("PlatformExecutor", "Repaid")
_TRANSFER, _TRANSFER_FROM = function("MockUSDC", "transfer"), function("MockUSDC", "transferFrom")
_REPAY, _PAYOFF = function("PlatformExecutor", "repay"), function("PlatformExecutor", "payoff")


@dataclass(frozen=True)
class PoolDebt:
    """A position's debt in the pool's own terms: `accrued` is exact interest (base units * basis points * seconds)."""

    principal: int
    accrued: int
    rate_bps: int

    @classmethod
    def of_event(cls, args: Mapping[str, Any]) -> "PoolDebt":
        """By the arguments of the pool's `DebtUpdated`: numbers, or the texts that a `ChainEvent` keeps of them."""
        return cls(int(args["principal"]), int(args["accrued"]), int(args["rateBps"]))


@dataclass(frozen=True)
class PayoffTerms:
    """What the executor computes a payoff from (`PlatformExecutor.LoanDebt`); `since` in seconds since the epoch."""

    principal: int
    accrued: int
    prior_principal: int
    prior_accrued: int
    rate_bps: int
    since: int


def borrow_operation(
    position_id: int,
    amount: int,
    settlement_address: str,
    net: int,
    *,
    duration: int | None = None,
    installments: int | None = None,
) -> tuple[list[Call], list[dict[str, Any]]]:
    """Borrow `amount` and pay `net` of it to the partner, in one operation; and the logs that prove it.

    `duration` (seconds) and `installments` are the loan's terms, for a system that takes them.
    """
    vault, usdc, executor = settings.SOLVENCY_VAULT_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    borrow, speaks = Borrow(position_id, amount, duration, installments), dialect()
    calls = [
        Call(vault, 0, speaks.borrow_call(borrow)),
        Call(usdc, 0, _TRANSFER.encode(settlement_address, net)),
    ]
    drawn = _expected(vault, [speaks.borrowed_topic, uint_topic(position_id), address_topic(executor)], None)
    effect = [
        {**drawn, "data": speaks.borrowed_data(borrow)},
        _expected(usdc, [TRANSFER_TOPIC, address_topic(executor), address_topic(settlement_address)], net),
        _debt_updated(position_id),
    ]
    return calls, effect


def repay_operation(
    position_id: int,
    amount: int,
    close: bool,
    pull_from: str | None,
) -> tuple[list[Call], list[dict[str, Any]]]:
    """Pull `amount` from `pull_from` (where given) and repay it; with `close` no more than what is owed in that block.

    Returns the calls and the logs that prove it.
    """
    vault, usdc, executor = settings.SOLVENCY_VAULT_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    calls, effect = [], []
    if pull_from is not None:
        calls.append(Call(usdc, 0, _TRANSFER_FROM.encode(pull_from, executor, amount)))
        effect.append(_expected(usdc, [TRANSFER_TOPIC, address_topic(pull_from), address_topic(executor)], amount))
    calls.append(Call(executor, 0, _REPAY.encode(vault, position_id, amount, close)))
    paid = None if close else amount  # a payoff pays what is owed in its own block
    effect.append(_expected(vault, [LOAN_REPAID_TOPIC, uint_topic(position_id), address_topic(executor)], paid))
    effect.append(_expected(executor, [REPAID_TOPIC, uint_topic(position_id)], None))
    effect.append(_debt_updated(position_id))
    return calls, effect


def payoff_operation(
    position_id: int, terms: PayoffTerms, most: int, pull_from: str | None
) -> tuple[list[Call], list[dict[str, Any]]]:
    """Pay off one loan of a position with what it owes in the block this runs in, at most `most`.

    Exactly that is pulled from `pull_from`; None: the platform account has the funds. Returns the calls and the logs
    that prove it.
    """
    vault, usdc, executor = settings.SOLVENCY_VAULT_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    loan = (terms.principal, terms.accrued, terms.prior_principal, terms.prior_accrued, terms.rate_bps, terms.since)
    payoff = _PAYOFF.encode(vault, position_id, loan, most, pull_from or ZERO_ADDRESS)
    effect = [
        _expected(vault, [LOAN_REPAID_TOPIC, uint_topic(position_id), address_topic(executor)], None),
        _expected(executor, [REPAID_TOPIC, uint_topic(position_id)], None),
        _debt_updated(position_id),
    ]
    if pull_from is not None:
        effect.append(_expected(usdc, [TRANSFER_TOPIC, address_topic(pull_from), address_topic(executor)], None))
    return [Call(executor, 0, payoff)], effect


def pool_debt(outcome_logs: Iterable[Log]) -> PoolDebt | None:
    """The position's debt after the operation, by the pool's `DebtUpdated`; None where it is not among the logs."""
    log = _pool_log(outcome_logs)
    if log is None:
        return None
    return PoolDebt.of_event(_DEBT_UPDATED.decode(log))


def movement_index(outcome_logs: Iterable[Log]) -> int:
    """Where in its block the operation moved the debt: the index of the pool's log, 0 where there is none."""
    log = _pool_log(outcome_logs)
    return 0 if log is None else int(log["logIndex"], 16)


def repaid_amount(operation: Operation) -> int:
    """What the executor's `repay` paid, by its `Repaid` event; `LookupError` unless there is exactly one."""
    executor = operation.executor.lower()
    logs = [
        log
        for log in operation.outcome_logs or []
        if log["address"].lower() == executor and log["topics"][0] == REPAID_TOPIC
    ]
    if len(logs) != 1:
        raise LookupError(f"{len(logs)} Repaid events where one is expected")
    return int(_REPAID.decode(logs[0])["paid"])


def _pool_log(logs: Iterable[Log]) -> Log | None:
    return next((log for log in logs if log["topics"] and log["topics"][0] == DEBT_UPDATED_TOPIC), None)


def _debt_updated(position_id: int) -> dict[str, object]:
    return _expected(settings.SENIOR_POOL_ADDRESS, [DEBT_UPDATED_TOPIC, uint_topic(position_id)], None)


def _expected(address: str, topics: list[str], number: int | None) -> dict[str, object]:
    return {"address": address.lower(), "topics": topics, "data": None if number is None else uint_topic(number)}
