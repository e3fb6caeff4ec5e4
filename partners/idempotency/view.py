"""`@idempotent` on a view's method makes its POST honour the Idempotency-Key.

    @action(detail=False, methods=["post"])
    @idempotent(replay=_the_same_loan)
    def borrow(self, request: Request) -> Response:
        loan = request_borrow(…, on_accepted=on_accepted(request))

Three kinds of views:

1. What is accepted now and finished later calls `on_accepted(request)` with the id of what it creates, in the
   transaction that creates it, and names `replay`, which returns the current state of that id.
2. What is done in one transaction: `@idempotent(atomic=True)`; the response is stored in that transaction.
3. A view of either kind whose response holds a secret adds `is_secret=True`: the stored response is encrypted.

Stored are final successes and refusals on the merits. Not stored: 202, 401, 429, 5xx, invalid bodies, and whatever is
`retryable`; the same key may then be used again. Source: docs/api.md, Idempotency.
"""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.db import DatabaseError, IntegrityError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import ErrorCode, PlatformError, invalid_fields
from partner_platform.core.web.exception_handler import handle_exception
from partner_platform.core.web.repeating import HEADER, Repetition
from partners.access.principal import PartnerPrincipal
from partners.idempotency import records
from partners.idempotency.records import Claim, OnAccepted, Use
from partners.models import IdempotencyKey

logger = logging.getLogger(__name__)

REPLAYED = "Idempotent-Replayed"
KEPT_HEADERS = ("Location",)
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
# Refusals that say nothing about the request itself, or that it could not be parsed.
_NEVER_KEPT = frozenset({401, 405, 406, 413, 415, 429})

View = Callable[..., Response]
Replay = Callable[[Request, UUID], Response]


def idempotent(
    *, replay: Replay | None = None, atomic: bool = False, is_secret: bool = False, is_once: bool = False
) -> Callable[[View], View]:
    """See the module; without the header the view runs as if it were not decorated.

    `is_once`: the body has an id of the caller's that is accepted only once, so that the request is safe to repeat
    without a key too.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def handle(viewset: object, request: Request, *args: object, **kwargs: object) -> Response:
            def act() -> Response:
                return view(viewset, request, *args, **kwargs)

            use = _use_of(request)
            if use is None:
                return run_in_transaction(act) if atomic else act()
            return _Exchange(request, use, replay, atomic=atomic, is_secret=is_secret).run(act)

        handle.repetition = Repetition(is_once=is_once)  # type: ignore[attr-defined]
        return handle

    return decorate


def on_accepted(request: Request) -> OnAccepted | None:
    """The function that the view calls with the id of what it creates, inside the same transaction; None without a
    key.
    """
    claim: Claim | None = getattr(request, "idempotency_claim", None)
    return None if claim is None else claim.bind


def still_answering(request: Request) -> None:
    """Call it every few seconds from a view that waits: it keeps the key locked."""
    claim: Claim | None = getattr(request, "idempotency_claim", None)
    if claim is not None:
        claim.keep_alive()


@dataclass(frozen=True)
class _Exchange:
    """One request with a key, from the lookup of the key to the response."""

    request: Request
    use: Use
    replay: Replay | None
    atomic: bool
    is_secret: bool

    def run(self, act: Callable[[], Response]) -> Response:
        row = records.find_record(self.use)
        if row is not None:
            return self._again(row)
        with records.claimed(self.use, has_sealed_answer=self.is_secret) as claim:
            self.request.idempotency_claim = claim  # type: ignore[attr-defined]
            try:
                return self._first(claim, act)
            except IntegrityError:
                # Another request with this key was accepted or answered at the same moment; ours was rolled back.
                row = records.find_record(self.use)
                if row is None:
                    raise
        return self._again(row)

    def _first(self, claim: Claim, act: Callable[[], Response]) -> Response:
        if self.atomic:
            act = self._with_its_answer(claim, act)
        try:
            response = act()
        except PlatformError as error:
            if not is_kept(error):
                raise
            response = self._refusal(error)
        if not (self.atomic and response.status_code < 400):
            self._keep(claim, response)
        return response

    def _with_its_answer(self, claim: Claim, act: Callable[[], Response]) -> Callable[[], Response]:
        def act_and_keep() -> Response:
            response = act()
            claim.record(**_kept(response))
            return response

        return lambda: run_in_transaction(act_and_keep)

    def _again(self, row: IdempotencyKey) -> Response:
        if row.status_code:
            response = Response(records.answer_of(row), status=row.status_code, headers=row.headers)
            self._tell_the_log(response)
        else:
            records.refuse_while_in_flight(self.use)
            response = self._truth(row)
        response[REPLAYED] = "true"
        return response

    def _truth(self, row: IdempotencyKey) -> Response:
        """For a first request that got 202 or no response: the current state, stored once it is final."""
        if self.replay is None or row.subject_id is None:
            raise records.in_flight()
        try:
            response = self.replay(self.request, row.subject_id)
        except PlatformError as error:
            if not is_kept(error):
                raise
            response = self._refusal(error)
        self._keep(Claim(self.use, self.is_secret, is_bound=True), response)
        return response

    def _keep(self, claim: Claim, response: Response) -> None:
        if response.status_code == HTTPStatus.ACCEPTED:
            return
        try:
            claim.record(**_kept(response))
        except IntegrityError:
            raise  # another request's answer was first
        except DatabaseError as error:
            logger.warning("the answer to an idempotency key could not be kept: %s", error)

    def _refusal(self, error: PlatformError) -> Response:
        response = handle_exception(error, {"request": self.request})
        response.exception = True
        return response

    def _tell_the_log(self, response: Response) -> None:
        if response.status_code < 400:
            return
        body: dict[str, Any] = response.data
        error = PlatformError(ErrorCode(body["code"]), body["message"])
        self.request._request.platform_error = error  # type: ignore[attr-defined]  # noqa: SLF001


def is_kept(error: PlatformError) -> bool:
    """Whether this refusal is stored and returned for every retry with its key."""
    return (
        error.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and error.status not in _NEVER_KEPT
        and error.code != ErrorCode.INVALID_REQUEST
        and not error.retryable
    )


def _kept(response: Response) -> dict[str, Any]:
    headers = {name: response[name] for name in KEPT_HEADERS if name in response}
    return {"status": response.status_code, "body": JSONRenderer().render(response.data).decode(), "headers": headers}


def _use_of(request: Request) -> Use | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    key = key.strip(" \t")
    if not _KEY.fullmatch(key):
        raise invalid_fields({HEADER: ["Must be 1 to 255 printable ASCII characters."]})
    return Use(
        caller=_caller(request),
        method=str(request.method),
        path=request.path,
        key=key,
        fingerprint=records.fingerprint_of(request.data),
    )


def _caller(request: Request) -> str:
    user: Any = request.user
    return f"partner:{user.partner.pk}" if isinstance(user, PartnerPrincipal) else f"staff:{user.pk}"
