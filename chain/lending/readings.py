"""Readings of OAIDs, positions and balances, each of one block.

A reading is kept in the cache under its block's hash, so that any load costs one post per block and token; which block
is the newest is itself remembered for `HEAD_SECONDS`, or until `forget_block()`. Without Redis reads go on, at a post
each. Amounts are USDC base units; addresses come from the settings.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.conf import settings
from django.core.cache import cache
from eth_abi.abi import decode
from eth_utils.address import to_checksum_address
from redis.exceptions import RedisError

from chain.lending import abis
from chain.lending.dialects import dialect
from chain.lending.encoding import encode_call, to_bytes
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
