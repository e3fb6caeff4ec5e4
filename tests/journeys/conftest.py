"""The platform's real processes on the tests' own database, Redis and chain."""

import json
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from sandbox import programs
from sandbox.folder import Folder
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.servers.process import Server
from tests.factories import DOLLAR, open_lender
from tests.support.chain import Chain
from tests.support.process_groups import kill_group


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: status, JSON body, headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


@dataclass(frozen=True)
class Platform:
    """Where it listens, and the processes to be killed by name: `web`, `worker`, `beat`."""

    port: int
    servers: dict[str, Server]
    chain: Chain

    def new_partner(self, number: int = 0, **terms: Any) -> str:
        """A partner at one of the funded settlement addresses; answers its key."""
        terms = {"tier": "ENTERPRISE", **terms}  # the limits on requests have a journey of their own
        _, key = open_lender(self.chain.world.partners[number].settlement_address, number=number, **terms)
        return key

    def request(self, method: str, path: str, key: str, body: Any = None, **headers: str) -> Answer:
        request = urllib.request.Request(
            f"http://{LOOPBACK}:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, json.load(response), dict(response.headers))
        except urllib.error.HTTPError as error:
            return Answer(error.code, json.load(error), dict(error.headers))

    def borrow(self, key: str, user: Any, dollars: int, loan_id: str, **headers: str) -> Answer:
        body = {
            "oaidTokenId": user.oaid_token_id,
            "userWallet": user.wallet,
            "borrowAmount": str(dollars * DOLLAR),
            "partnerLoanId": loan_id,
        }
        return self.request("POST", "/partners/borrow", key, body, **headers)

    def repay(self, key: str, dollars: int, loan_id: str, **headers: str) -> Answer:
        body = {"partnerLoanId": loan_id, "repaymentAmount": str(dollars * DOLLAR)}
        return self.request("POST", "/partners/repay", key, body, **headers)

    def loan(self, key: str, loan_id: str) -> dict[str, Any]:
        return self.request("GET", f"/partners/loan/{loan_id}", key).body


def at_once(calls: list[Callable[[], Answer]]) -> list[Answer]:
    """Make all calls at the same time; their answers in order."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [done.result() for done in [pool.submit(call) for call in calls]]


@pytest.fixture
def platform(chain: Chain, transactional_db: None) -> Iterator[Platform]:
    """Four web processes, a worker and beat."""
    # A folder of its own: beat would go on with the schedule of the test before, and anchor in the middle of this one.
    folder, port = Folder(Path(tempfile.mkdtemp(prefix="platform-", dir=settings.TEST_FOLDER))), free_port()
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "partner_platform.settings"}
    servers = {
        "web": programs.web(folder, environment, port, processes=4),
        "worker": programs.worker(folder, environment, settings.TEST_REDIS_PORT),
        "beat": programs.beat(folder, environment),
    }
    with running(servers):
        yield Platform(port, servers, chain)


@contextmanager
def running(servers: dict[str, Server]) -> Iterator[None]:
    """Started together, and killed: a kind end takes seconds, and what they hold is forgotten with the test."""
    with ExitStack() as stack:
        for server in servers.values():
            stack.callback(kill_group, server)
            server.launch()
        for server in servers.values():
            server.wait_ready()
        yield
