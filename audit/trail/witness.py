"""A second record of the trail in Redis, so that a change of the database alone is noticed.

Two things: the ids of entries that were committed and wait for their seal, and the newest block. The sealer compares
both with the database (`audit.trail.sealing`). Redis drops what is older than the newest block, and a restart without
persistence drops everything: this covers the time between two anchors, and the anchors on the chain are the proof.
Nothing here raises.
"""

import json
import logging
from dataclasses import dataclass

from django_redis import get_redis_connection
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

_COMMITTED = "audit:committed"
_HEAD = "audit:head"
MAX_COMMITTED = 200_000  # where no sealer runs, the oldest ids are dropped


@dataclass(frozen=True)
class TrailHead:
    """The newest block that was sealed."""

    number: int
    hash: str


def note_committed(entry_ids: list[str]) -> None:
    """Note entries that were committed."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            pipe.rpush(_COMMITTED, *entry_ids)
            pipe.ltrim(_COMMITTED, -MAX_COMMITTED, -1)
            pipe.execute()
    except RedisError as error:
        logger.warning("no witness of audit entries %s: %s", ", ".join(entry_ids), error)


def committed(limit: int) -> list[str]:
    """The ids of the entries whose commit was noted first, at most `limit`; none without Redis."""
    try:
        noted = get_redis_connection("default").lrange(_COMMITTED, 0, limit - 1)
    except RedisError as error:
        logger.warning("no witness of committed entries: %s", error)
        return []
    return [entry_id.decode() for entry_id in noted]


def forget_committed(entry_ids: list[str]) -> None:
    """Drop entries that were found in the database."""
    try:
        with get_redis_connection("default").pipeline(transaction=False) as pipe:
            for entry_id in entry_ids:
                pipe.lrem(_COMMITTED, 1, entry_id)
            pipe.execute()
    except RedisError as error:
        logger.warning("could not forget committed entries: %s", error)


def remember_head(number: int, block_hash: str) -> None:
    """Note a block that was sealed and committed."""
    try:
        get_redis_connection("default").set(_HEAD, json.dumps([number, block_hash]))
    except RedisError as error:
        logger.warning("no witness of audit block %d: %s", number, error)


def remembered_head() -> TrailHead | None:
    """The newest block as of the last seal; None where Redis knows none."""
    try:
        stored = get_redis_connection("default").get(_HEAD)
    except RedisError as error:
        logger.warning("no witness of the newest audit block: %s", error)
        return None
    return TrailHead(*json.loads(stored)) if stored else None
