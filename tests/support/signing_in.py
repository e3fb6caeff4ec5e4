"""People of staff who sign in to the API in tests."""

import json
from typing import Any

from django.contrib.auth.models import User
from django.test import Client

from partner_platform.core import clock
from staff.access.api_sessions import Device, TokenPair, open_api_session

PASSWORD = "a long password indeed"
ADDRESS = "203.0.113.9"
CLIENT = Client(raise_request_exception=False)  # one: each loads the middleware anew


def member(username: str = "ann", **columns: Any) -> User:
    """A member of staff with `PASSWORD`, without any right."""
    return User.objects.create_user(username, f"{username}@platform.example", PASSWORD, **{"is_staff": True, **columns})


def tokens_of(user: User) -> TokenPair:
    """The tokens of a session that the user has just opened."""
    return open_api_session(user=user, means="password", with_factor=False, device=Device(ADDRESS, "tests"))


def post(path: str, body: Any = None, *, token: str = "", address: str = ADDRESS, **headers: str) -> Any:
    """A POST of JSON, with an access token where there is one."""
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = "" if body is None else json.dumps(body)
    return CLIENT.post(path, data, "application/json", headers=headers, REMOTE_ADDR=address)


def sign_in(username: str = "ann", password: str = PASSWORD, *, address: str = ADDRESS, **more: Any) -> Any:
    """`POST /auth/token`."""
    return post("/auth/token", {"username": username, "password": password, **more}, address=address)


def sign_in_message(domain: str, address: str, nonce: str, chain_id: int) -> str:
    """A good message of EIP-4361, issued now."""
    return (
        f"{domain} wants you to sign in with your Ethereum account:\n{address}\n\n\n"
        f"URI: https://{domain}/auth/siwe/verify\nVersion: 1\nChain ID: {chain_id}\n"
        f"Nonce: {nonce}\nIssued At: {clock.isoformat(clock.now())}"
    )


def outcome(answer: Any) -> tuple[int, str]:
    """Its status, and the code of its error."""
    return answer.status_code, answer.json().get("code", "")
