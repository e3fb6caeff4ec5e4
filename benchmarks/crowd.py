"""Many threads in many processes doing one thing at the same moment, through the platform's real code in each.

`CallerProcesses` starts the processes and hands them jobs; a process reads each job as a line of JSON and answers with
one. There are two kinds of job: `reserve`, the guarded updates of a borrow's acceptance (the OAID's credit, the
partner's total and daily limit) in one transaction; and `borrow`, a whole request through the WSGI application,
authentication and audit log included, which asks not to wait for the settlement. A call that gets 503 is repeated after
its Retry-After.
"""

import datetime as dt
import io
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

ATTEMPTS = 20
ACCEPTED = {200, 202}
UNAVAILABLE = 503


@dataclass(frozen=True)
class CallResult:
    """A response's status, its `code` where it is an error, and its Retry-After; `reserve` returns the same."""

    status: int
    code: str = ""
    retry_after: str = ""


@dataclass(frozen=True)
class NamedCall:
    """One named call and all its responses: more than one where the first was 503."""

    name: str
    answers: list[CallResult]

    @property
    def is_accepted(self) -> bool:
        return self.answers[-1].status in ACCEPTED


@dataclass(frozen=True)
class Done:
    """All results of all threads and processes, and the wall time from the first start to the last end."""

    seconds: float
    asked: list[NamedCall]

    @property
    def accepted(self) -> list[str]:
        return [asked.name for asked in self.asked if asked.is_accepted]


@dataclass(frozen=True)
class CallerProcesses:
    """Processes that wait for a job."""

    processes: list[subprocess.Popen[str]]
    threads: int

    def run(self, act: str, *, each: int, **details: object) -> Done:
        """`each` times `act` by every thread. `details` are the act's own (`reserve`, `borrow` below)."""
        for number, process in enumerate(self.processes):
            job = {"act": act, "threads": self.threads, "each": each, "prefix": f"loan-{number}", **details}
            self._tell(process, json.dumps(job))
        for process in self.processes:
            self._hear(process)  # every thread has its connection
        for process in self.processes:
            self._tell(process, "go")
        told = [json.loads(self._hear(process)) for process in self.processes]
        asked = [
            NamedCall(name, [CallResult(*answer) for answer in answers])
            for one in told
            for name, answers in one["asked"]
        ]
        return Done(max(one["ended"] for one in told) - min(one["began"] for one in told), asked)

    @staticmethod
    def _tell(process: subprocess.Popen[str], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    @staticmethod
    def _hear(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"a process of the crowd ended with {process.wait()}")
        return line


@contextmanager
def caller_processes(*, processes: int = 4, threads: int = 16) -> Iterator[CallerProcesses]:
    """Started on the environment as it is now, ended with the block."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
        "PYTHONWARNINGS": "ignore:No directory at:UserWarning",  # no static files are collected here
    }
    command = [sys.executable, "-m", "benchmarks.crowd"]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    try:
        yield CallerProcesses(started, threads)
    finally:
        for process in started:
            process.communicate()  # closes its input, which ends it


# --- In a process of the crowd ------------------------------------------------------------------------


def main() -> int:
    """Do the jobs of standard input until it ends."""
    import django

    django.setup()
    for line in sys.stdin:
        _work(json.loads(line))
    return 0


def _work(job: dict[str, Any]) -> None:
    from django.db import connections

    act = {"reserve": _reserve, "borrow": _borrow}[job["act"]](job)
    everybody_ready = threading.Barrier(job["threads"] + 1)
    go = threading.Event()

    def one_thread(number: int) -> list[tuple[str, list[list[Any]]]]:
        connections["default"].ensure_connection()
        everybody_ready.wait()
        go.wait()
        try:
            names = [f"{job['prefix']}-{number}-{time_}" for time_ in range(job["each"])]
            return [(name, _ask_until_answered(act, name)) for name in names]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(job["threads"]) as pool:
        running = [pool.submit(one_thread, number) for number in range(job["threads"])]
        everybody_ready.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.time()
        go.set()
        asked = [one for thread in running for one in thread.result()]
        print(json.dumps({"began": began, "ended": time.time(), "asked": asked}), flush=True)


def _ask_until_answered(act: Callable[[str], list[Any]], name: str) -> list[list[Any]]:
    answers: list[list[Any]] = []
    while len(answers) < ATTEMPTS:
        status, code, retry_after = act(name)
        answers.append([status, code, retry_after])
        if status != UNAVAILABLE or not retry_after.isdigit():
            break
        time.sleep(int(retry_after))
    return answers


def _reserve(job: dict[str, Any]) -> Callable[[str], list[Any]]:
    """`partner_id`, `oaid_token_id`, `amount`, `day`, and `headroom`: the credit that the chain shows."""
    from loans.positions import credit
    from partner_platform.core.database.transactions import run_in_transaction
    from partner_platform.core.web.exception_handler import as_platform_error
    from partners import limits

    partner_id, amount = uuid.UUID(job["partner_id"]), job["amount"]
    day = dt.date.fromisoformat(job["day"])
    limit = credit.CreditLimit(job["oaid_token_id"], job["headroom"], block_number=0)

    def reserve() -> None:
        credit.reserve_credit(limit, amount)
        limits.reserve_limits(partner_id=partner_id, amount=amount, day=day)

    def act(name: str) -> list[Any]:
        try:
            limits.ensure_day(partner_id=partner_id, day=day)
            run_in_transaction(reserve)
        except credit.CreditContended:
            return [400, "credit_contended", ""]  # whose judge the chain is, in `borrow`
        except Exception as error:  # noqa: BLE001 - told as the API tells it, bugs as 500
            told = as_platform_error(error)
            return [int(told.status), str(told.code), str(told.retry_after or "")]
        return [200, "", ""]

    return act


def _borrow(job: dict[str, Any]) -> Callable[[str], list[Any]]:
    """`keys`: API keys, `wallets`: pairs of OAID and wallet, both taken in turn; `amount`."""
    from partner_platform.wsgi import application

    keys, wallets = job["keys"], job["wallets"]

    def act(name: str) -> list[Any]:
        turn = sum(map(int, name.split("-")[1:]))
        oaid_token_id, wallet = wallets[turn % len(wallets)]
        body = {
            "oaidTokenId": oaid_token_id,
            "userWallet": wallet,
            "borrowAmount": str(job["amount"]),
            "partnerLoanId": name,
        }
        return _post(application, "/partners/borrow", keys[turn % len(keys)], json.dumps(body).encode())

    return act


def _post(application: Callable[..., Any], path: str, key: str, body: bytes) -> list[object]:
    """One request as the web server hands it over, closed as it does."""
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "HTTP_PREFER": "respond-async",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.version": (1, 0),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    started: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        started.update(status=int(status[:3]), headers=dict(headers))

    response = application(environ, start_response)
    try:
        answered = json.loads(b"".join(response))
    finally:
        response.close()
    return [started["status"], answered.get("code", ""), started["headers"].get("Retry-After", "")]


if __name__ == "__main__":
    sys.exit(main())
