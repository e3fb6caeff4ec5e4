"""One request, as each of those would send it who call an endpoint: the right partner, and everybody else."""

import base64
import datetime as dt
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.test import Client

from partner_platform.core import clock
from partners import keys
from partners.access.concurrency import calls_in_flight
from partners.credentials import allow_signature_v1, rotate_signing_secret, set_signing_required
from partners.models import ApiKey, Partner, Scope
from partners.services import activate_partner, suspend_partner, update_partner
from sandbox.world import SandboxPartner
from tests.factories import ApiKeyFactory, open_lender
from tests.support import request_signing
from tests.support.staff_api import token_of

ALLOWED, NOT_ALLOWED = "203.0.113.7", "198.51.100.7"
SCOPES = tuple(Scope.values)


class _Stamps:
    """Moments in milliseconds, no two alike, so that no two signatures of a test are alike by accident."""

    last = 0

    def now(self) -> int:
        self.last = max(self.last + 1, time.time_ns() // 1_000_000)
        return self.last


_stamps = _Stamps()


@dataclass(frozen=True)
class Call:
    """What is asked; `scope` is what a key needs for it."""

    method: str
    path: str
    body: bytes
    scope: str


@dataclass(frozen=True)
class Identity:
    """A partner that signs its calls and names its addresses: every check has something to refuse."""

    partner: Partner
    key: str
    secret: str


class Callers:
    """`answers[caller](call)` sends `call` as `caller`; `ids` are the request ids of all that was sent."""

    def __init__(self, right: Identity, other: Identity, *, staff: Any, non_admin: Any) -> None:
        self._right, self._other = right, other
        hour = dt.timedelta(hours=1)
        self._revoked = _another_key(right.partner, revoked_at=clock.now() - hour)
        self._expired = _another_key(right.partner, expires_at=clock.now() - hour)
        self._without = {
            scope: _another_key(right.partner, scopes=[one for one in SCOPES if one != scope]) for scope in SCOPES
        }
        self.ids: list[str] = []
        self.answers: dict[str, Callable[[Call], Any]] = {
            "no key": lambda call: self.send(call, None),
            "bad key": lambda call: self.send(call, keys.generate("test", "sandbox").key),
            "revoked key": lambda call: self.send(call, self._revoked),
            "expired key": lambda call: self.send(call, self._expired),
            "key of the other environment": lambda call: self.send(call, keys.generate("test", "live").key),
            "suspended partner": self._suspended,
            "key without the scope": lambda call: self.send(call, self._narrow(call)),
            "wrong IP": lambda call: self.send(call, right.key, address=NOT_ALLOWED),
            "no signature": lambda call: self.send(call, right.key, signature={}),
            "bad signature": lambda call: self.send(call, right.key, signature=_sign(other.secret, call)),
            "signature of another path": lambda call: self.send(
                call, right.key, signature=_sign(right.secret, replace(call, path=f"{call.path}/x"))
            ),
            "signature of another method": lambda call: self.send(
                call, right.key, signature=_sign(right.secret, replace(call, method="PUT"))
            ),
            "signature of version 1": lambda call: self.send(call, right.key, signature=_sign_v1(right.secret, call)),
            "old signature": lambda call: self.send(call, right.key, signature=_sign(right.secret, call, age=301)),
            "replayed signature": self._replayed,
            "too many calls in flight": self._crowded,
            "staff JWT": lambda call: self.send(call, token_of(staff)),
            "non-admin JWT": lambda call: self.send(call, token_of(non_admin)),
            "unsigned JWT": lambda call: self.send(call, unsigned(token_of(staff))),
            "other partner": lambda call: self.send(call, other.key, signature=_sign(other.secret, call)),
        }

    def right(self, call: Call) -> Any:
        """The control: the same request from the one who may."""
        return self.send(call, self._right.key)

    def send(
        self, call: Call, token: str | None, *, address: str = ALLOWED, signature: dict[str, str] | None = None
    ) -> Any:
        """The call with this bearer token, signed by the right partner if nothing else is said."""
        self.ids.append(uuid.uuid4().hex)
        headers = {
            "X-Request-Id": self.ids[-1],
            "Prefer": "respond-async",
            **(_sign(self._right.secret, call) if signature is None else signature),
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        client = Client(raise_request_exception=False)
        return client.generic(
            call.method, call.path, call.body, "application/json", headers=headers, REMOTE_ADDR=address
        )

    def _narrow(self, call: Call) -> str:
        """A key with every scope but the one that the call needs; where it needs none, without `read`."""
        return self._without.get(call.scope) or self._without["read"]

    def _suspended(self, call: Call) -> Any:
        suspend_partner(partner=self._right.partner, actor="test")
        try:
            return self.send(call, self._right.key)
        finally:
            activate_partner(partner=self._right.partner, actor="test")

    def _crowded(self, call: Call) -> Any:
        partner, taken = self._right.partner.pk, 0
        while calls_in_flight.take(partner):
            taken += 1
        try:
            return self.send(call, self._right.key)
        finally:
            for _ in range(taken):
                calls_in_flight.give_back(partner)

    def _replayed(self, call: Call) -> Any:
        """The signature comes once with a key that may not do this, and does nothing; then with one that may."""
        signature = _sign(self._right.secret, call)
        self.send(call, self._narrow(call), signature=signature)
        return self.send(call, self._right.key, signature=signature)


def open_partner(number: int, settlement: SandboxPartner) -> Identity:
    """A partner with limits that do not get in the way."""
    partner, key = open_lender(settlement.settlement_address, number=number, tier="ENTERPRISE")
    ApiKey.objects.filter(partner=partner).update(scopes=list(SCOPES))
    partner = update_partner(partner=partner, actor="test", ip_allow_list=["203.0.113.0/24"])
    allow_signature_v1(partner=partner, actor="test", allowed=False)
    secret = rotate_signing_secret(partner=partner, actor="test")
    return Identity(set_signing_required(partner=partner, actor="test", required=True), key, secret)


def unsigned(token: str) -> str:
    """A token of the same claims that says that it needs no signature."""
    header = _base64url(json.dumps({"alg": "none", "typ": "JWT"}).encode())
    return f"{header}.{token.split('.')[1]}."


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _another_key(partner: Partner, **columns: Any) -> str:
    key = keys.generate(partner.key_label, "sandbox").key
    ApiKeyFactory.create(partner=partner, key=key, **columns)
    return key


def _sign(secret: str, call: Call, *, age: int = 0) -> dict[str, str]:
    timestamp = str(_stamps.now() - 1000 * age)
    signature = request_signing.sign_v2(
        secret=secret, timestamp=timestamp, method=call.method, target=call.path.encode(), body=call.body
    )
    return {"X-Timestamp": timestamp, "X-Signature": signature}


def _sign_v1(secret: str, call: Call) -> dict[str, str]:
    timestamp = str(_stamps.now())
    return {
        "X-Timestamp": timestamp,
        "X-Signature": request_signing.sign_v1(secret=secret, timestamp=timestamp, body=call.body),
    }
