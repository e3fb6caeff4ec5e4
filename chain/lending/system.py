"""The existing system as the platform uses it: readings of OAIDs and positions, and what a borrow or a repayment calls.

A reading is of ONE block and is kept in the cache under that block's hash, so that any load costs one post per block
and token; which block is the newest is itself remembered for `HEAD_SECONDS`, or until `forget_block()`. Without Redis
reads go on, at a post each. Amounts are USDC base units; addresses come from the settings.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from redis.exceptions import RedisError

from chain.lending import abis
from chain.lending.dialects import Borrow, dialect
from chain.lending.encoding import (
    DEBT_UPDATED_TOPIC,
    LOAN_REPAID_TOPIC,
    REPAID_TOPIC,
    TRANSFER_TOPIC,
    Call,
    Log,
    address_topic,
    decode_event,
    encode_call,
    to_bytes,
    uint_topic,
)
from chain.models import Operation
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.rpc.reading import read
from chain.rpc.single_flight import once
from partner_platform.core.collateral import TOKEN_TYPES
from partner_platform.core.ethereum import ZERO_ADDRESS

logger = logging.getLogger(__name__)
T = TypeVar("T")

HEAD_SECONDS = 0.5
READING_SECONDS = 60
_HEAD_KEY = "chain:head"
MAX_POSITION_HINTS = 100_000
CALLS_PER_POST = 200
_position_hints: dict[int, int] = {}  # OAID -> position, as this process saw it last
PAYOFF_SIGNATURE = abis.signature_of(abis.entry("PlatformExecutor", "function", "payoff"))
_POSITION_TYPES = abis.types_of(abis.entry("SolvencyVault", "function", "positions")["outputs"])


@dataclass(frozen=True)
class OaidReading:
    """An OAID and its credit line at one block; `position_id` is 0 where no position backs it."""

    oaid_token_id: int
    owner: str
    credit_limit: int
    credit_used: int
    active: bool
    position_id: int
    block_number: int

    @property
    def available(self) -> int:
        """What may still be drawn."""
        return max(self.credit_limit - self.credit_used, 0)


@dataclass(frozen=True)
class PositionReading:
    """A collateral position at one block; `usdc_borrowed` is its debt then, interest included."""

    position_id: int
    user: str
    oaid_token_id: int
    collateral_token: str
    collateral_amount: int
    collateral_value_usd: int
    usdc_borrowed: int
    active: bool
    token_type: str
    block_number: int


@dataclass(frozen=True)
class PoolDebt:
    """A position's debt in the pool's own terms: `accrued` is exact interest (base units * basis points * seconds)."""

    principal: int
    accrued: int
    rate_bps: int


@dataclass(frozen=True)
class PayoffTerms:
    """What the executor reckons a payoff from (`PlatformExecutor.LoanDebt`); `since` in seconds since the epoch."""

    principal: int
    accrued: int
    prior_principal: int
    prior_accrued: int
    rate_bps: int
    since: int


@dataclass(frozen=True)
class Backing:
    """An OAID with the position that backs it (None: none does), read at the same block."""

    oaid: OaidReading
    position: PositionReading | None


class ReadingRefused(ChainUnavailable):
    """The node answered a reading with an error."""


@dataclass(frozen=True)
class _Head:
    number: int
    hash: str
    timestamp: int


def read_oaid(token_id: int) -> OaidReading | None:
    """An OAID as of the newest block; None where there is no such token. Raises `ChainUnavailable`."""
    return _read_at_head(f"oaid:{token_id}", lambda head: _fetch_oaid(token_id, head))


def read_position(position_id: int) -> PositionReading | None:
    """A position as of the newest block; None where there is none. Raises `ChainUnavailable`."""
    return _read_at_head(f"position:{position_id}", lambda head: _fetch_position(position_id, head))


def read_backing(token_id: int) -> Backing | None:
    """An OAID and the position behind it, both of the newest block; None where there is no such token.

    Read for each caller: to share it would cost more round trips to Redis than the one to the node that it saves.
    """
    return _at_head(lambda head: _fetch_backing(token_id, head))


def read_executed(operations: Sequence[tuple[str, str]], block_number: int) -> set[str]:
    """The uids of those of the operations `(executor, uid)` that had run at the end of that block, in one post."""
    calls = [(executor, executed_call(uid)) for executor, uid in operations]
    answers = _values(_eth_calls(calls, hex(block_number)))
    return {uid for (_, uid), answer in zip(operations, answers, strict=True) if int(answer, 16)}


def executed_call(uid: str) -> str:
    """Calldata of the view that tells whether an executor has run a uid."""
    return encode_call("executed(bytes32)", [to_bytes(uid)])


def read_usdc_funding(owner: str, *, executor: str = "") -> tuple[int, int]:
    """The USDC balance of `owner` and what the executor (the configured one) may pull from it, as of now (base units,
    never cached).
    """
    allowance = encode_call("allowance(address,address)", [owner, executor or settings.PLATFORM_EXECUTOR_ADDRESS])
    calls = [(settings.USDC_ADDRESS, encode_call("balanceOf(address)", [owner])), (settings.USDC_ADDRESS, allowance)]
    balance, allowed = _values(_eth_calls(calls, "latest"))
    return int(balance, 16), int(allowed, 16)


def read_operators(users: Sequence[str], executor: str) -> set[str]:
    """Those of the users who let the executor draw on their positions, as of now."""
    vault, chosen = settings.SOLVENCY_VAULT_ADDRESS, sorted(set(users))
    allowed: set[str] = set()
    for start in range(0, len(chosen), CALLS_PER_POST):
        some = chosen[start : start + CALLS_PER_POST]
        calls = [(vault, encode_call("isOperator(address,address)", [user, executor])) for user in some]
        answers = _values(_eth_calls(calls, "latest"))
        allowed |= {user for user, answer in zip(some, answers, strict=True) if int(answer, 16)}
    return allowed


def newest_block_time() -> int:
    """When the newest block was made, in seconds since the epoch: the time that interest is counted to."""
    return _head().timestamp


def forget_block() -> None:
    """Ask the chain for its newest block at the next reading: somebody knows of a newer one than is remembered."""
    try:
        cache.delete(_HEAD_KEY)
    except RedisError as error:
        logger.warning("could not forget the newest block: %s", error)


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
        Call(usdc, 0, encode_call("transfer(address,uint256)", [settlement_address, net])),
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

    Answers the calls and the logs that prove it.
    """
    vault, usdc, executor = settings.SOLVENCY_VAULT_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    calls, effect = [], []
    if pull_from is not None:
        pull = encode_call("transferFrom(address,address,uint256)", [pull_from, executor, amount])
        calls.append(Call(usdc, 0, pull))
        effect.append(_expected(usdc, [TRANSFER_TOPIC, address_topic(pull_from), address_topic(executor)], amount))
    repay = encode_call("repay(address,uint256,uint256,bool)", [vault, position_id, amount, close])
    calls.append(Call(executor, 0, repay))
    paid = None if close else amount  # a payoff pays what is owed in its own block
    effect.append(_expected(vault, [LOAN_REPAID_TOPIC, uint_topic(position_id), address_topic(executor)], paid))
    effect.append(_expected(executor, [REPAID_TOPIC, uint_topic(position_id)], None))
    effect.append(_debt_updated(position_id))
    return calls, effect


def payoff_operation(
    position_id: int, terms: PayoffTerms, most: int, pull_from: str | None
) -> tuple[list[Call], list[dict[str, Any]]]:
    """Pay off one loan of a position with what it owes in the block this runs in, at most `most`.

    Exactly that is pulled from `pull_from`; None: the platform account has the funds. Answers the calls and the logs
    that prove it.
    """
    vault, usdc, executor = settings.SOLVENCY_VAULT_ADDRESS, settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    loan = (terms.principal, terms.accrued, terms.prior_principal, terms.prior_accrued, terms.rate_bps, terms.since)
    payoff = encode_call(PAYOFF_SIGNATURE, [vault, position_id, loan, most, pull_from or ZERO_ADDRESS])
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
    values = decode_event("SeniorPool", "DebtUpdated", log)
    return PoolDebt(values["principal"], values["accrued"], values["rateBps"])


def movement_index(outcome_logs: Iterable[Log]) -> int:
    """Where in its block the operation moved the debt: the index of the pool's log, 0 where there is none."""
    log = _pool_log(outcome_logs)
    return 0 if log is None else int(log["logIndex"], 16)


def _pool_log(logs: Iterable[Log]) -> Log | None:
    return next((log for log in logs if log["topics"] and log["topics"][0] == DEBT_UPDATED_TOPIC), None)


def _debt_updated(position_id: int) -> dict[str, Any]:
    return _expected(settings.SENIOR_POOL_ADDRESS, [DEBT_UPDATED_TOPIC, uint_topic(position_id)], None)


def repaid_amount(operation: Operation) -> int:
    """What the executor's `repay` really paid, by its `Repaid` event; `LookupError` unless there is exactly one."""
    executor = operation.executor.lower()
    logs = [
        log
        for log in operation.outcome_logs or []
        if log["address"].lower() == executor and log["topics"][0] == REPAID_TOPIC
    ]
    if len(logs) != 1:
        raise LookupError(f"{len(logs)} Repaid events where one is expected")
    return int(decode_event("PlatformExecutor", "Repaid", logs[0])["paid"])


def _expected(address: str, topics: list[str], number: int | None) -> dict[str, Any]:
    return {"address": address.lower(), "topics": topics, "data": None if number is None else uint_topic(number)}


def _read_at_head(name: str, fetch: Callable[[_Head], T]) -> T:
    """A reading of the newest block, shared by all that ask for it in that block."""
    return _at_head(lambda head: once(f"chain:{name}:{head.hash}", READING_SECONDS, lambda: fetch(head)))


def _at_head(fetch: Callable[[_Head], T]) -> T:
    """A reading of the newest block, once more where the node refused it: it may have changed blocks meanwhile."""
    head = _head()
    try:
        return fetch(head)
    except ReadingRefused as error:
        logger.warning("a reading at block %s: %s", head.number, error)
    forget_block()
    return fetch(_head())


def _fetch_oaid(token_id: int, head: _Head) -> OaidReading | None:
    return _decode_oaid(token_id, _eth_calls(dialect().oaid_calls(token_id), hex(head.number)), head)


def _fetch_position(position_id: int, head: _Head) -> PositionReading | None:
    [answer] = _eth_calls([_position_call(position_id)], hex(head.number))
    return _decode_position(position_id, answer, head)


def _fetch_backing(token_id: int, head: _Head) -> Backing | None:
    """In one post where this process knows the OAID's position from before; the chain is asked for it all the same."""
    hint = _position_hints.get(token_id, 0)
    calls = dialect().oaid_calls(token_id)
    size = len(calls)
    answers = _eth_calls([*calls, *([_position_call(hint)] if hint else [])], hex(head.number))
    oaid = _decode_oaid(token_id, answers[:size], head)
    if oaid is None:
        return None
    if not oaid.position_id:
        return Backing(oaid, None)
    if oaid.position_id == hint:
        return Backing(oaid, _decode_position(hint, answers[size], head))
    if len(_position_hints) >= MAX_POSITION_HINTS:
        _position_hints.clear()
    _position_hints[token_id] = oaid.position_id
    return Backing(oaid, _fetch_position(oaid.position_id, head))


def _position_call(position_id: int) -> tuple[str, str]:
    return (settings.SOLVENCY_VAULT_ADDRESS, encode_call("positions(uint256)", [position_id]))


def _decode_oaid(token_id: int, answers: Sequence[Any], head: _Head) -> OaidReading | None:
    if dialect().is_unknown(answers):
        return None
    line = dialect().decode_oaid(_values(answers))
    return OaidReading(
        oaid_token_id=token_id,
        owner=line.owner,
        credit_limit=line.limit,
        credit_used=line.used,
        active=line.active,
        position_id=line.position_id,
        block_number=head.number,
    )


def _decode_position(position_id: int, answer: Any, head: _Head) -> PositionReading | None:
    [data] = _values([answer])
    user, token, amount, value, debt, oaid_token_id, token_type, active = decode(_POSITION_TYPES, to_bytes(data))
    if user == ZERO_ADDRESS:
        return None
    return PositionReading(
        position_id=position_id,
        user=str(to_checksum_address(user)),
        oaid_token_id=oaid_token_id,
        collateral_token=str(to_checksum_address(token)),
        collateral_amount=amount,
        collateral_value_usd=value,
        usdc_borrowed=debt,
        active=active,
        token_type=TOKEN_TYPES[token_type],
        block_number=head.number,
    )


def _eth_calls(calls: Sequence[tuple[str, str]], block: str) -> list[Any]:
    """The answers of several view calls `(to, data)` at one block, in one post; an `RpcError` where one was refused."""
    return get_client().batch([("eth_call", [{"to": to, "data": data}, block]) for to, data in calls])


def _values(answers: Sequence[Any]) -> list[str]:
    """The answers, which must all be values: a refusal, or nothing from an address without code, tells nothing."""
    for answer in answers:
        if isinstance(answer, RpcError):
            raise ReadingRefused(f"The chain refused a reading: {answer.message}") from answer
        if answer == "0x":
            raise ChainUnavailable("A contract named in the settings is not on this chain")
    return list(answers)


def _head() -> _Head:
    return once(_HEAD_KEY, HEAD_SECONDS, _fetch_head)


def _fetch_head() -> _Head:
    [block] = read(("eth_getBlockByNumber", ["latest", False]))
    if block is None:
        raise ChainUnavailable("The node shows no newest block")
    return _Head(int(block["number"], 16), block["hash"], int(block["timestamp"], 16))
