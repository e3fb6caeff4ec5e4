"""The moments at which a process may be killed, found while it runs: around each commit, each post to a node and each
webhook.

Nothing is listed by hand. A commit is what the connection does at the end of a transaction, or a statement that writes
outside of one; a post is what an endpoint's session sends. The production code knows nothing of this.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from django.db import connection
from pymongo import monitoring

from chain.rpc.endpoints import Request, RpcEndpoint
from partner_platform.core.outside import OutsideClient, Response

PROJECT = Path(__file__).resolve().parent.parent.parent
# Whose caller is the one to name.
_PLUMBING = tuple(
    str(PROJECT / path)
    for path in (
        "tests",
        "partner_platform/core",
        ".venv",
        "chain/rpc/clients.py",
        "chain/rpc/endpoints.py",
        "chain/settlement/engine.py",
    )
)
_WRITES = ("INSERT", "UPDATE", "DELETE")
_MONGODB_WRITES = ("insert", "update", "delete", "findAndModify", "bulkWrite")


class Points:
    """Counts the points a process passes, tells each to `note`, and kills it (SIGKILL) at number `kill_at`."""

    def __init__(self, *, note: Callable[[str], None], kill_at: int | None = None) -> None:
        self._note = note
        self._kill_at = kill_at
        self._passed = 0

    def install(self) -> None:
        """Watch this process; for its whole life, so for a forked one only."""
        RpcEndpoint._post = self._around_post(RpcEndpoint._post)  # type: ignore[method-assign]
        OutsideClient.post = self._around_webhook(OutsideClient.post)  # type: ignore[method-assign]
        wrapper: Any = connection
        wrapper._commit = self._around_commit(wrapper._commit)
        wrapper.execute_wrappers.append(self._around_statement)
        if connection.vendor == "mongodb":
            monitoring.register(_MongodbWrites(self))

    def pass_by(self, what: str) -> None:
        """A point; the process may end here."""
        self._note(f"{what} in {_place()}")
        if self._passed == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._passed += 1

    def _around_post(self, post: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def watched(endpoint: RpcEndpoint, batch: list[Request], *args: Any) -> list[Any]:
            names = ", ".join(dict.fromkeys(request.method for request in batch))
            self.pass_by(f"before {names}")
            answers = post(endpoint, batch, *args)
            self.pass_by(f"after {names}")
            return answers

        return watched

    def _around_webhook(self, post: Callable[..., Response]) -> Callable[..., Response]:
        def watched(client: OutsideClient, url: str, **what: Any) -> Response:
            self.pass_by("before the webhook")
            answer = post(client, url, **what)
            self.pass_by("after the webhook")
            return answer

        return watched

    def _around_commit(self, commit: Callable[[], None]) -> Callable[[], None]:
        def watched() -> None:
            self.pass_by("before the commit")
            commit()
            self.pass_by("after the commit")

        return watched

    def _around_statement(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if connection.in_atomic_block or not sql.lstrip().upper().startswith(_WRITES):
            return execute(sql, params, many, context)
        what = " ".join(sql.split()[:3])
        self.pass_by(f"before {what}")
        answer = execute(sql, params, many, context)
        self.pass_by(f"after {what}")
        return answer


class _MongodbWrites(monitoring.CommandListener):
    """MongoDB's statements outside of a transaction; those inside carry `autocommit: false`."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._open: set[int] = set()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in _MONGODB_WRITES and "autocommit" not in event.command:
            self._open.add(event.request_id)
            self._points.pass_by(f"before {event.command_name} {event.command[event.command_name]}")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        if event.request_id in self._open:
            self._open.discard(event.request_id)
            self._points.pass_by(f"after {event.command_name}")

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._open.discard(event.request_id)


def _place() -> str:
    """The project's own code that led here: `chain/settlement/bundling.py _dispatch`."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(f"{PROJECT}/") and not file.startswith(_PLUMBING):
            return f"{Path(file).relative_to(PROJECT)} {frame.f_code.co_name}"
        frame = frame.f_back
    return "Django"
