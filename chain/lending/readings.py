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
from redis.exceptions import RedisError

from chain.lending.dialects import dialect
from chain.lending.encoding import to_bytes
from chain.lending.fast_codec import Undecodable
from chain.lending.positions import VaultPosition, decode_position, position_view
from chain.lending.views import View, requests, view
from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.rpc.reading import read_from_chain
from chain.rpc.single_flight import once

logger = logging.getLogger(__name__)
T = TypeVar("T")

HEAD_SECONDS = 0.5
READING_SECONDS = 60
_HEAD_KEY = "lending:head"
MAX_POSITION_HINTS = 100_000
CALLS_PER_POST = 200
_position_hints: dict[int, int] = {}  # OAID -> position, as this process saw it last


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
class PositionReading(VaultPosition):
    """A collateral position at one block; `usdc_borrowed` is its debt then, interest included."""

    position_id: int
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
    views = [executed_view(executor, uid) for executor, uid in operations]
    ran = _read(views, hex(block_number))
    return {uid for (_, uid), has_run in zip(operations, ran, strict=True) if has_run}


def executed_view(executor: str, uid: str) -> View:
    """Whether an executor has run a uid."""
    return view("PlatformExecutor", executor, "executed", to_bytes(uid))


def read_usdc_funding(owner: str, *, executor: str = "") -> tuple[int, int]:
    """The USDC balance of `owner` and what the executor (the configured one) may pull from it, as of now (base units,
    never cached).
    """
    usdc, spender = settings.USDC_ADDRESS, executor or settings.PLATFORM_EXECUTOR_ADDRESS
    views = [view("MockUSDC", usdc, "balanceOf", owner), view("MockUSDC", usdc, "allowance", owner, spender)]
    balance, allowed = _read(views, "latest")
    return balance, allowed


def read_operators(users: Sequence[str], executor: str) -> set[str]:
    """Those of the users who let the executor draw on their positions, as of now."""
    vault, chosen = settings.SOLVENCY_VAULT_ADDRESS, sorted(set(users))
    allowed: set[str] = set()
    for start in range(0, len(chosen), CALLS_PER_POST):
        some = chosen[start : start + CALLS_PER_POST]
        answers = _read([view("SolvencyVault", vault, "isOperator", user, executor) for user in some], "latest")
        allowed |= {user for user, is_allowed in zip(some, answers, strict=True) if is_allowed}
    return allowed


def newest_block_time() -> int:
    """When the newest block was made, in seconds since the epoch: the time that interest is counted to."""
    return _head().timestamp


def forget_block() -> None:
    """Forget which block is the newest, so that the next reading asks: the caller knows of a newer one."""
    try:
        cache.delete(_HEAD_KEY)
    except RedisError as error:
        logger.warning("could not forget the newest block: %s", error)


def _read_at_head(name: str, fetch: Callable[[_Head], T]) -> T:
    """A reading of the newest block, shared by all that ask for it in that block."""
    return _at_head(lambda head: once(f"lending:{name}:{head.hash}", READING_SECONDS, lambda: fetch(head)))


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
    return _decode_oaid(token_id, _ask(dialect().oaid_views(token_id), hex(head.number)), head)


def _fetch_position(position_id: int, head: _Head) -> PositionReading | None:
    [answer] = _ask([position_view(position_id)], hex(head.number))
    return _decode_position(position_id, answer, head)


def _fetch_backing(token_id: int, head: _Head) -> Backing | None:
    """In one post where this process knows the OAID's position from before; the chain is asked for it all the same."""
    hint = _position_hints.get(token_id, 0)
    views = dialect().oaid_views(token_id)
    size = len(views)
    answers = _ask([*views, *([position_view(hint)] if hint else [])], hex(head.number))
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


def _decode_oaid(token_id: int, answers: Sequence[object], head: _Head) -> OaidReading | None:
    if dialect().is_unknown(answers):
        return None
    returned = _returned(answers)
    line = _decoded(lambda: dialect().decode_oaid(returned))
    return OaidReading(
        oaid_token_id=token_id,
        owner=line.owner,
        credit_limit=line.limit,
        credit_used=line.used,
        active=line.active,
        position_id=line.position_id,
        block_number=head.number,
    )


def _decode_position(position_id: int, answer: object, head: _Head) -> PositionReading | None:
    [returned] = _returned([answer])
    found = _decoded(lambda: decode_position(returned))
    return None if found is None else PositionReading(**vars(found), position_id=position_id, block_number=head.number)


def _read(views: Sequence[View], block: str) -> list[Any]:
    """The value of each view, in one post."""
    returned = _returned(_ask(views, block))
    return _decoded(lambda: [each.value(answer) for each, answer in zip(views, returned, strict=True)])


def _ask(views: Sequence[View], block: str) -> list[Any]:
    """What a node returned for each view at one block, in one post; an `RpcError` where it refused one."""
    return get_client().batch(requests(views, block))


def _returned(answers: Sequence[object]) -> list[str]:
    """The answers, unless a node refused one, or one is of an address without code; both raise `ChainUnavailable`."""
    for answer in answers:
        if isinstance(answer, RpcError):
            raise ReadingRefused(f"The chain refused a reading: {answer.message}") from answer
        if answer == "0x":
            raise ChainUnavailable("A contract named in the settings is not on this chain")
    return [str(answer) for answer in answers]


def _decoded(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except Undecodable as error:
        raise ChainUnavailable(f"A contract named in the settings is another one on this chain: {error}") from error


def _head() -> _Head:
    return once(_HEAD_KEY, HEAD_SECONDS, _fetch_head)


def _fetch_head() -> _Head:
    [block] = read_from_chain(("eth_getBlockByNumber", ["latest", False]))
    if block is None:
        raise ChainUnavailable("The node shows no newest block")
    return _Head(int(block["number"], 16), block["hash"], int(block["timestamp"], 16))
