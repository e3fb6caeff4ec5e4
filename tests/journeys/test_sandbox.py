"""The sandbox as a newcomer meets it: its real processes, called over HTTP, the money read from the chain."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from sandbox.servers.ports import free_port
from tests.factories import DOLLAR
from tests.support.running_sandbox import PROJECT, RunningSandbox, exists
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]
DATABASE = ("--db", settings.DB_ENGINE)
PROCESSES = 6 + (settings.DB_ENGINE != "sqlite")  # redis, anvil, web, two workers, beat; and the database's own


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    # Where PostgreSQL's user may pass; pytest's own folders are closed to it.
    running = RunningSandbox(settings.TEST_FOLDER / "journey" / ".sandbox").start(*DATABASE)
    yield running
    assert running.process is not None
    if running.process.poll() is None:
        running.stop()


def change(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: after[name] - before[name] for name in before}


def test_a_borrow_and_its_repayment_move_exactly_their_money(sandbox: RunningSandbox) -> None:
    start = sandbox.money()

    status, answer = sandbox.borrow("loan-money", 1_000 * DOLLAR)

    assert (status, answer["success"]) == (201, True)
    assert re.fullmatch(r"0x[0-9a-f]{64}", answer["txHash"])
    borrowed = sandbox.money()
    assert change(start, borrowed) == {
        "settlement": 995 * DOLLAR,  # less the fee of 0.5 %
        "platform": 5 * DOLLAR,
        "debt": 1_000 * DOLLAR,
        "credit used": 1_000 * DOLLAR,
    }
    assert sandbox.loan("loan-money")["status"] == "ACTIVE"

    status, answer = sandbox.repay("loan-money", 1_000 * DOLLAR)

    assert (status, answer["remainingDebt"], answer["loanStatus"]) == (200, "0", "REPAID")
    assert change(borrowed, sandbox.money()) == {
        "settlement": -1_000 * DOLLAR,
        "platform": 0,
        "debt": -1_000 * DOLLAR,
        "credit used": -1_000 * DOLLAR,
    }


def shell(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(shutil.which("bash")), "-euo", "pipefail", "-c", script]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, check=False)


def test_the_demo_borrows_and_repays_and_says_what_the_chain_says(sandbox: RunningSandbox) -> None:
    start = sandbox.money()

    done = shell(f"{sys.executable} manage.py demo --folder {sandbox.folder}", PROJECT)

    assert done.returncode == 0, done.stdout
    told = [line.removeprefix("# ") for line in done.stdout.splitlines() if line.startswith("# ")]
    assert "The partner's settlement address received $4,975.00: the loan less the fee." in told
    assert "The settlement address paid $5,000.00." in told
    assert re.fullmatch(
        r"The loan demo-[0-9a-f]{12} is REPAID\. Staff see it at http://127.0.0.1:\d+/console/\.", told[-1]
    )
    assert change(start, sandbox.money()) == {
        "settlement": -25 * DOLLAR,
        "platform": 25 * DOLLAR,
        "debt": 0,
        "credit used": 0,
    }


def test_the_calls_that_the_demo_shows_can_be_pasted(sandbox: RunningSandbox) -> None:
    shown = shell(f"{sys.executable} manage.py demo --folder {sandbox.folder}", PROJECT).stdout
    calls = [line for line in shown.splitlines() if line.startswith("curl ")]
    assert [re.findall(r"/partners/[a-z]+", call)[0] for call in calls] == [
        *("/partners/public", "/partners/borrow", "/partners/loan", "/partners/repay", "/partners/loan"),
    ]

    (loan_id,) = set(re.findall(r"demo-[0-9a-f]{12}", shown))
    script = "; echo; ".join(calls).replace(loan_id, "demo-pasted")
    done = shell(script, sandbox.folder.parent)

    assert done.returncode == 0, done.stderr
    credit, borrow, active, repaid, closed = map(json.loads, done.stdout.splitlines())
    assert credit["creditLimit"] == str(10_000 * DOLLAR)
    assert (borrow["success"], active["status"]) == (True, "ACTIVE")
    assert (repaid["remainingDebt"], closed["status"]) == ("0", "REPAID")


def test_the_demo_without_a_sandbox_says_what_to_run(tmp_path: Path) -> None:
    done = shell(f"{sys.executable} manage.py demo --folder {tmp_path}", PROJECT)

    assert done.returncode == 1
    assert done.stdout.strip() == f"The demo stops: there is no sandbox in {tmp_path}: run `make sandbox` first"


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(sandbox: RunningSandbox) -> None:
    start = sandbox.money(user=1)
    loans = [f"loan-kill-{number}" for number in range(6)]
    worker = sandbox.pid_of("worker")
    assert worker is not None

    statuses = [sandbox.borrow(loan, 100 * DOLLAR, user=1, Prefer="respond-async")[0] for loan in loans[:3]]
    os.kill(worker, signal.SIGKILL)
    statuses += [sandbox.borrow(loan, 100 * DOLLAR, user=1, Prefer="respond-async")[0] for loan in loans[3:]]

    assert statuses == [202] * 6
    eventually(lambda: {sandbox.loan(loan)["status"] for loan in loans} == {"ACTIVE"}, 60, every=1.0)
    assert sandbox.pid_of("worker") not in (None, worker)
    assert change(start, sandbox.money(user=1)) == {
        "settlement": 597 * DOLLAR,
        "platform": 3 * DOLLAR,
        "debt": 600 * DOLLAR,
        "credit used": 600 * DOLLAR,
    }


def test_what_it_tells_is_complete_and_for_its_owner_only(sandbox: RunningSandbox) -> None:
    state = sandbox.state

    assert stat.S_IMODE((sandbox.folder / "state.json").stat().st_mode) == 0o600
    assert set(state) == {
        *(
            "baseUrl",
            "consoleUrl",
            "rpcUrl",
            "chainId",
            "databaseUrl",
            "contracts",
            "platformAccount",
            "admin",
            "partners",
            "users",
            "staff",
        ),
    }
    assert state["staff"] == []  # with --approvals there are two
    assert state["databaseUrl"].partition(":")[0] == settings.DB_ENGINE
    assert set(state["admin"]) == {"username", "password", "privateKey"}
    assert [set(partner) for partner in state["partners"]] == [
        {"partnerId", "apiKey", "settlementAddress", "settlementPrivateKey"}
    ] * 2
    assert [user["creditLimit"] for user in state["users"]] == [str(n * 1_000 * DOLLAR) for n in (10, 50, 100)]
    assert [set(user) for user in state["users"]] == [
        {"wallet", "privateKey", "oaidTokenId", "positionId", "creditLimit"}
    ] * 3


def test_its_partners_post_to_nobody_and_may_do_everything(sandbox: RunningSandbox) -> None:
    assert sandbox.call("GET", "/partners/my/webhooks") == (200, {"webhooks": []})
    _, keys = sandbox.call("GET", "/partners/my/keys")
    assert [key["scopes"] for key in keys["keys"]] == [["read", "borrow", "repay", "webhooks", "manage"]]


@pytest.fixture
def receiver(tmp_path: Path) -> tuple[str, list[str]]:
    """The page's receiver: its URL, and how it is started, with the secret behind."""
    page = (PROJECT / "docs" / "webhooks.md").read_text().partition("## Try it in the sandbox")[2]
    (program, *_) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    port = free_port()
    path = tmp_path / "receiver.py"
    path.write_text(program.replace("9000", str(port)))
    return f"http://127.0.0.1:{port}/", [sys.executable, str(path)]


def test_the_receiver_to_paste_takes_what_is_posted_to_this_machine(
    sandbox: RunningSandbox, receiver: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, command = receiver
    status, made = sandbox.call("POST", "/partners/my/webhooks", {"url": url})
    assert status == 201, made
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([*command, made["secret"]], stdout=out, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: is_open(url), 20)
        assert sandbox.call("POST", f"/partners/my/webhooks/{made['id']}/test")[0] == 202

        eventually(lambda: (tmp_path / "out").read_text() == "webhook.test\n", 30)

        delivered = eventually(lambda: delivery_that_ended(sandbox), 20) or {}
        assert (delivered["eventType"], delivered["status"]) == ("webhook.test", "DELIVERED")
    finally:
        process.kill()
        process.wait()
        assert sandbox.call("DELETE", f"/partners/my/webhooks/{made['id']}")[0] == 204


def is_open(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), parts.port or 0)) == 0


def delivery_that_ended(sandbox: RunningSandbox) -> dict[str, Any] | None:
    _, page = sandbox.call("GET", "/partners/my/webhooks/deliveries")
    (delivery,) = page["deliveries"]
    return None if delivery["status"] == "PENDING" else delivery


def test_its_figures_are_those_of_all_its_processes(sandbox: RunningSandbox) -> None:
    def page() -> str:
        with urllib.request.urlopen(sandbox.state["baseUrl"] + "/metrics", timeout=20) as response:
            return str(response.read().decode())

    # What beat publishes and the worker runs is on the page of the web process.
    eventually(lambda: 'celery_tasks_published_total{task="chain.tasks.drive_settlement"}' in page(), 20, every=1.0)
    eventually(lambda: 'state="SUCCESS",task="chain.tasks.drive_settlement"' in page(), 20, every=1.0)


def test_it_stops_without_leaving_anything_and_goes_on_from_there(sandbox: RunningSandbox) -> None:
    before, money, children = sandbox.state, sandbox.money(), sandbox.children()
    sandbox.borrow("loan-restart", 50 * DOLLAR)
    assert len(children) == PROCESSES

    assert sandbox.stop() == 0

    assert [pid for pid in children if exists(pid)] == []
    sandbox.start()
    after = sandbox.state
    assert (after["partners"], after["users"], after["contracts"]) == (
        *(before["partners"], before["users"], before["contracts"]),
    )
    assert sandbox.loan("loan-restart")["status"] == "ACTIVE"
    assert sandbox.repay("loan-restart", 50 * DOLLAR)[0] == 200
    assert change(money, sandbox.money())["debt"] == 0


def test_nothing_outlives_a_sandbox_that_was_killed(sandbox: RunningSandbox) -> None:
    children: dict[int, str] = {}
    if sandbox.process is not None and sandbox.process.poll() is None:
        children = sandbox.children()
        sandbox.stop(signal.SIGKILL)

    assert len(children) == PROCESSES
    eventually(lambda: not any(exists(pid) for pid in children), 20)


def test_a_fresh_sandbox_knows_nothing_of_the_old_one(sandbox: RunningSandbox) -> None:
    old_key = sandbox.state["partners"][0]["apiKey"]

    sandbox.start("--fresh", "--yes", *DATABASE)

    assert sandbox.state["partners"][0]["apiKey"] != old_key
    assert sandbox.call("GET", "/partners/loan/loan-money")[0] == 404
    assert sandbox.money()["debt"] == 0


def test_the_logs_can_be_followed(sandbox: RunningSandbox) -> None:
    screen: Path = sandbox.folder.with_suffix(".out")

    sandbox.call("GET", "/partners/loan/loan-nobody-has")

    line = re.compile(r"web    \| .* access \[[0-9a-f]{32}\] GET /partners/loan/loan-nobody-has -> 404 ms=")
    eventually(lambda: line.search(screen.read_text()), 5)


def test_200_connections_that_send_half_a_request_hold_up_no_partner(sandbox: RunningSandbox) -> None:
    url = urllib.parse.urlsplit(sandbox.state["baseUrl"])
    head = b"POST /partners/borrow HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    halves = [head + b"Content-Length: 60000\r\n\r\n{", head + b"X-A: ", head + b"Transfer-Encoding: chunked\r\n\r\n1"]
    with ExitStack() as stack:
        for number in range(200):
            connection = stack.enter_context(socket.create_connection((url.hostname, url.port), timeout=20))
            connection.sendall(halves[number % len(halves)])

        assert sandbox.call("GET", "/partners/my/stats")[0] == 200
        assert sandbox.borrow("loan-beside-the-slow", 5 * DOLLAR)[0] == 201
        assert sandbox.loan("loan-beside-the-slow")["status"] == "ACTIVE"
