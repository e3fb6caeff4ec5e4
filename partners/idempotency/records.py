"""One `Idempotency-Key`, one effect: stores what a key was used for and the first response.

A row is written in the very transaction that accepts the request, so a crash leaves either nothing or a row that names
what the request created. The row's primary key is derived from caller, method, path and key: of two concurrent requests
the database accepts one, whatever else fails. A lock in Redis only lets a second caller know sooner that the first
request is still running; it expires seconds after its holder died. Source: docs/api.md, Idempotency.
"""

import datetime as dt
import hashlib
import json
import logging
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from partner_platform.core import clock
from partner_platform.core.database.transactions import on_commit
from partner_platform.core.errors import Conflict, ErrorCode, Unprocessable
from partner_platform.core.redis.lock import Lock, token_of_holder
from partner_platform.core.secrets import crypto
from partners.models import IdempotencyKey

logger = logging.getLogger(__name__)

LIFETIME = dt.timedelta(days=7)
LOCK_SECONDS = 6  # above the longest pause between two signs of life (`wakeup.LOOK_EVERY_SECONDS`)
SWEEP_BATCH = 500

OnAccepted = Callable[[uuid.UUID], object]


@dataclass(frozen=True)
class Use:
    """One request with a key: its caller, method, path, and the fingerprint of its body."""

    caller: str
    method: str
    path: str
    key: str
    fingerprint: str

    @property
    def id(self) -> uuid.UUID:
        """The row's primary key."""
        scope = json.dumps([self.caller, self.method, self.path, self.key])
        return uuid.UUID(bytes=hashlib.sha256(scope.encode()).digest()[:16])


def fingerprint_of(body: object) -> str:
    """A digest of a JSON body, the same however its fields are ordered and spaced."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def find_record(use: Use) -> IdempotencyKey | None:
    """What the key was used for within the last seven days; 422 where that was another request. One query."""
    row = IdempotencyKey.objects.filter(pk=use.id).first()
    if row is None:
        return None
    if row.expires_at <= clock.now():
        IdempotencyKey.objects.filter(pk=row.pk, expires_at=row.expires_at).delete()
        return None
    if row.fingerprint != use.fingerprint:
        raise reused()
    return row


@dataclass
class Claim:
    """A key that this request is the first to use."""

    use: Use
    has_sealed_answer: bool = False
    is_bound: bool = False
    lock: Lock | None = None  # what tells others that the key is being answered

    def bind(self, subject_id: uuid.UUID) -> None:
        """Write the row with the id of what the request created, in the same transaction; one insert.

        `IntegrityError` where another request with this key was accepted first: this transaction must roll back.
        """
        self._insert(subject_id=subject_id)
        on_commit(self._note_bound)

    def record(self, *, status: int, body: str, headers: Mapping[str, str]) -> None:
        """Store the first response; `IntegrityError` where another request stored one first. One query."""
        answer = self._answer(status, body, headers)
        if self.is_bound:
            IdempotencyKey.objects.filter(pk=self.use.id, status_code=0).update(**answer)
        else:
            self._insert(**answer)

    def keep_alive(self) -> None:
        """Renew the lock that says that this request is still running."""
        if self.lock is not None:
            self.lock.prolong()

    def _insert(self, **fields: object) -> None:
        now, use = clock.now(), self.use
        row = IdempotencyKey(
            id=use.id,
            caller=use.caller,
            method=use.method,
            path=use.path.replace("\0", "")[:300],
            key=use.key,
            fingerprint=use.fingerprint,
            created_at=now,
            expires_at=now + LIFETIME,
            **fields,
        )
        row.save(force_insert=True)

    def _answer(self, status: int, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
        text = {"sealed_answer": crypto.encrypt(body)} if self.has_sealed_answer else {"answer": body}
        return {"status_code": status, "headers": dict(headers), **text}

    def _note_bound(self) -> None:
        self.is_bound = True


def answer_of(row: IdempotencyKey) -> object:
    """The JSON of the first response."""
    return json.loads(crypto.decrypt(row.sealed_answer) if row.sealed_answer else row.answer)


@contextmanager
def claimed(use: Use, *, has_sealed_answer: bool = False) -> Iterator[Claim]:
    """Within: others with this key are told 409. Raises that 409 (422 for another body) where somebody is within."""
    lock = Lock(_lock_name(use), seconds=LOCK_SECONDS, token=f"{use.fingerprint}:{secrets.token_hex()}")
    with _redis_or_nothing():
        if not lock.take():
            _refuse_while_held(use)
    try:
        yield Claim(use, has_sealed_answer, lock=lock)
    finally:
        lock.release()


def refuse_while_in_flight(use: Use) -> None:
    """409 while another request with this key is being answered, by a process that lives."""
    with _redis_or_nothing():
        _refuse_while_held(use)


def delete_expired_records(*, batches: int = 200) -> int:
    """Delete expired keys, oldest first, in small batches; returns how many."""
    deleted = 0
    for _ in range(batches):
        ids = list(expired_query().values_list("pk", flat=True)[:SWEEP_BATCH])
        deleted += IdempotencyKey.objects.filter(pk__in=ids).delete()[0] if ids else 0
        if len(ids) < SWEEP_BATCH:
            break
    return deleted


def expired_query() -> Any:
    """The query of `delete_expired_records`, used by the index tests too."""
    return IdempotencyKey.objects.filter(expires_at__lte=clock.now()).order_by("expires_at")


def reused() -> Unprocessable:
    """422: the key belongs to another request."""
    return Unprocessable(
        ErrorCode.IDEMPOTENCY_KEY_REUSED, "This Idempotency-Key was used for a request with another body"
    )


def in_flight() -> Conflict:
    """409: the first request with this key is still running."""
    return Conflict(
        ErrorCode.IDEMPOTENCY_KEY_IN_USE, "A request with this Idempotency-Key is still being answered", retry_after=1
    )


def _refuse_while_held(use: Use) -> None:
    token = token_of_holder(_lock_name(use))
    if token is None:
        return  # whoever was within left, or died, this moment: the database decides
    raise in_flight() if token.startswith(f"{use.fingerprint}:") else reused()


@contextmanager
def _redis_or_nothing() -> Iterator[None]:
    """The lock is optional: without Redis the row's primary key still lets only one request through."""
    try:
        yield
    except RedisError as error:
        logger.warning("idempotency keys in flight are not locked: %s", error)


def _lock_name(use: Use) -> str:
    return f"idempotency:{use.id}"
