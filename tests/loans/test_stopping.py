"""What stops a borrow before its limits: the pause, the block list, a screening service; what goes on meanwhile."""

import datetime as dt
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from audit.models import AuditEntry
from authority.rights import Right
from loans.models import LoanStatus, PartnerLoan, UserWallet
from loans.services import reservations
from loans.stopping import screening, screening_service, wallets
from loans.stopping.screening import Screening
from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import BadRequest, Forbidden, NotFound, Unavailable
from partners import services
from partners.stopping import pause
from tests.factories import DOLLAR
from tests.support.acting import staff
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db(transaction=True)

WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
ANN = staff("ann")
SAYS: dict[str, Callable[[str], object]] = {}
REFUSED: tuple[Any, ...] = (403, "wallet_refused", "The platform does not lend this amount to this wallet", {}, False)


def wanted(user: Any, **extra: Any) -> dict[str, Any]:
    body = {"oaidTokenId": user.oaid_token_id, "userWallet": user.wallet, "borrowAmount": str(100 * DOLLAR)}
    return {**body, "partnerLoanId": "loan-1", **extra}


def told(answer: Any) -> tuple[Any, ...]:
    body = answer.json()
    return answer.status_code, body["code"], body["message"], body["details"], body["retryable"]


def refused_alike(lender: Any, body: dict[str, Any]) -> tuple[Any, ...]:
    """What both the preview and the borrow are told, and nothing was accepted."""
    before = PartnerLoan.objects.count()
    previewed, borrowed = (lender.post(path, body) for path in ("/partners/borrow/preview", "/partners/borrow"))
    assert told(previewed) == told(borrowed)
    assert PartnerLoan.objects.count() == before
    return told(borrowed)


def actions(target: str) -> list[tuple[str, str]]:
    found = AuditEntry.objects.filter(target=target).order_by("timestamp")
    return list(found.values_list("actor", "action"))


# --- The pause ---


def test_while_borrows_are_paused_what_was_accepted_is_settled_read_and_repaid(chain, lender, settle):
    lender.borrow(chain.users[0], 100)
    pause.pause_borrowing(actor=ANN, reason="the pool is upgraded")
    answer = lender.borrow(chain.users[1], 100, "loan-2")
    assert told(answer)[:2] == (503, "borrowing_paused")
    assert (answer.headers["Retry-After"], answer.json()["retryable"]) == ("60", True)
    assert "upgraded" not in answer.content.decode()
    settle()
    assert lender.loan()["status"] == LoanStatus.ACTIVE
    assert lender.repay(40 * DOLLAR).status_code == 202
    settle()
    assert lender.loan()["remainingDebt"] == "60000000"
    pause.resume_borrowing(actor=ANN, reason="done")
    assert lender.borrow(chain.users[1], 100, "loan-2").status_code == 202


def test_the_pause_is_told_before_every_other_refusal_of_a_borrow(chain, lender):
    pause.pause_borrowing(actor=ANN, reason="why")
    assert refused_alike(lender, wanted(chain.users[0], borrowAmount="1"))[1] == "borrowing_paused"
    services.suspend_partner(partner=lender.partner, actor=ANN, scope="BORROWING")
    assert refused_alike(lender, wanted(chain.users[0]))[1] == "partner_not_active"  # at authentication


def test_a_pause_or_a_suspension_since_authentication_is_counted_again_in_the_transaction(chain, lender, monkeypatch):
    reserve, stops = (
        reservations.reserve_and,
        [
            lambda: pause.pause_borrowing(actor=ANN, reason="why"),
            lambda: services.suspend_partner(partner=lender.partner, actor=ANN, scope="BORROWING"),
            lambda: wallets.block_wallet(wallet=chain.users[0].wallet, actor=ANN, reason="why"),
        ],
    )

    codes: list[str] = []

    def stop_and_reserve(*args: Any, **kwargs: Any) -> Any:
        stops[len(codes)]()
        return reserve(*args, **kwargs)

    monkeypatch.setattr(reservations, "reserve_and", stop_and_reserve)
    for _ in range(len(stops)):
        codes.append(lender.borrow(chain.users[0], 100).json()["code"])
        pause.resume_borrowing(actor=ANN, reason="why")
        services.activate_partner(partner=lender.partner, actor=ANN)
    assert codes == ["borrowing_paused", "partner_not_active", "wallet_refused"]
    assert not PartnerLoan.objects.exists()


def test_what_stops_a_borrow_costs_an_accepted_one_a_single_query(chain, lender):
    lender.borrow(chain.users[0], 100, "warm-up")
    with CaptureQueriesContext(connection) as context:
        assert lender.borrow(chain.users[0], 100, "loan-2").status_code == 202
    asked = [query["sql"] for query in context.captured_queries]
    assert len([sql for sql in asked if "loans_userwallet" in sql]) == 1
    assert not [sql for sql in asked if "borrowingpause" in sql]
    assert len(asked) <= 12


# --- The block list ---


def test_a_blocked_wallet_borrows_by_no_partner_and_repays(chain, lender, make_client, settle):
    user = chain.users[0]
    lender.borrow(user, 100)
    settle()
    wallets.block_wallet(wallet=user.wallet.lower(), actor=ANN, reason="on a list")
    other = make_client(1)
    for client in (lender, other):
        assert refused_alike(client, wanted(user, partnerLoanId="loan-2", userWallet=user.wallet.lower())) == REFUSED
    assert lender.borrow(chain.users[1], 100, "loan-3").status_code == 202
    assert lender.repay(100 * DOLLAR).status_code == 202
    settle()
    assert lender.loan()["status"] == LoanStatus.REPAID
    wallets.unblock_wallet(wallet=user.wallet, actor=ANN, reason="off the list")
    assert lender.borrow(user, 100, "loan-4").status_code == 202


def test_of_a_wallet_nothing_is_told_to_who_names_no_oaid_of_it(chain, lender, settings):
    """Whoever does not own one could otherwise try any wallet, and have it screened."""
    asked: list[str] = []
    settings.WALLET_SCREENING = "tests.loans.test_stopping.service"
    SAYS["now"] = answering(Screening(True), asked)
    owner, other = chain.users[0], chain.users[1]
    wallets.block_wallet(wallet=owner.wallet, actor=ANN, reason="why")
    for body in (wanted(owner, userWallet=other.wallet), wanted(other, userWallet=owner.wallet)):
        assert refused_alike(lender, body)[1] == "not_oaid_owner"
    assert asked == []


def test_blocking_says_who_when_and_why_and_needs_its_right():
    row = wallets.block_wallet(wallet=WALLET.lower(), actor=ANN, reason="on a list")
    assert (row.address, row.is_blocked, row.blocked_by, row.block_reason) == (WALLET, True, "staff:ann", "on a list")
    again = wallets.block_wallet(wallet=WALLET, actor=staff("bob"), reason="a court order")
    assert (again.blocked_by, again.blocked_at) == ("staff:ann", row.blocked_at)
    assert again.block_reason == "on a list | a court order"
    wallets.block_wallet(wallet=WALLET, actor=ANN, reason="on a list")
    assert [row.address for row in wallets.blocked_wallets()] == [WALLET]
    with pytest.raises(Forbidden, match=r"staff\.unblock_wallets"):
        wallets.unblock_wallet(wallet=WALLET, actor=staff("bob", [Right.BLOCK_WALLETS]), reason="why")
    with pytest.raises(Forbidden, match=r"staff\.block_wallets"):
        wallets.block_wallet(wallet=WALLET, actor=staff("bob", [Right.UNBLOCK_WALLETS]), reason="why")
    cleared = wallets.unblock_wallet(wallet=WALLET, actor=ANN, reason="a mistake")
    assert (cleared.is_blocked, cleared.blocked_at, cleared.blocked_by, cleared.block_reason) == (False, None, "", "")
    assert actions(f"userWallet:{WALLET}") == [
        ("staff:ann", "wallet.blocked"),
        ("staff:bob", "wallet.blocked"),
        ("staff:ann", "wallet.unblocked"),
    ]
    last = AuditEntry.objects.get(action="wallet.unblocked")
    assert (last.before, last.after) == (
        {"isBlocked": True, "reason": "on a list | a court order"},
        {"isBlocked": False, "reason": "a mistake"},
    )


def test_what_cannot_be_blocked_or_unblocked_is_named():
    for wallet, reason, field in (("0x1", "why", "wallet"), (WALLET, " ", "reason")):
        for change in (wallets.block_wallet, wallets.unblock_wallet):
            with pytest.raises(BadRequest) as refused:
                change(wallet=wallet, actor=ANN, reason=reason)
            assert list(refused.value.details) == [field]
    with pytest.raises(NotFound, match=r"^The wallet is not on the block list$"):
        wallets.unblock_wallet(wallet=WALLET, actor=ANN, reason="why")
    assert not UserWallet.objects.exists()
    assert not AuditEntry.objects.exists()


def test_the_commands(capsys):
    type_command("block_wallet", WALLET.lower(), "--reason=on a list")
    assert [row.block_reason for row in wallets.blocked_wallets()] == ["on a list"]
    with pytest.raises(CommandError, match=r"^the wallet: Must be an address"):
        type_command("block_wallet", "0x1", "--reason=why")
    type_command("unblock_wallet", WALLET, "--reason=off the list")
    with pytest.raises(CommandError, match=r"^The wallet is not on the block list$"):
        type_command("unblock_wallet", WALLET, "--reason=off the list")
    assert capsys.readouterr().out == f"{WALLET} is blocked.\n{WALLET} is not blocked any more.\n"


def test_a_borrow_at_the_moment_of_a_block_comes_before_it_or_is_refused():
    wallets.ensure_wallet(WALLET)
    barrier, counted = threading.Barrier(5), []

    def lend(_: int) -> int:
        try:
            barrier.wait()
            return sum(_lent() for _ in range(5))
        finally:
            connection.close()

    def block() -> int:
        try:
            barrier.wait()
            wallets.block_wallet(wallet=WALLET, actor=ANN, reason="why")
            counted.append(UserWallet.objects.get().borrows - 1)  # the block counts itself
        finally:
            connection.close()
        return 0

    with ThreadPoolExecutor(5) as pool:
        running = [pool.submit(lend, number) for number in range(4)] + [pool.submit(block)]
        lent = sum(work.result() for work in running)
    assert counted == [lent] == [UserWallet.objects.get().borrows - 1]


def _lent() -> bool:
    try:
        run_in_transaction(lambda: wallets.lend_to_wallet(WALLET, DOLLAR))
    except Forbidden:
        return False
    return True


# --- Screening ---


def service(wallet: str) -> object:
    """The service of these tests, `WALLET_SCREENING`; each says what it answers."""
    return SAYS["now"](wallet)


def answering(outcome: Screening, asked: list[str]) -> Callable[[str], object]:
    def answer(wallet: str) -> Screening:
        asked.append(wallet)
        return outcome

    return answer


@pytest.fixture
def screened(settings: Any) -> list[str]:
    """Wallets are screened, and pass; the list has those that the service was asked about."""
    asked: list[str] = []

    def says(wallet: str) -> Screening:
        asked.append(wallet)
        return Screening(False, f"answer {len(asked)}")

    settings.WALLET_SCREENING = "tests.loans.test_stopping.service"
    SAYS["now"] = says
    return asked


def test_a_wallet_is_screened_once_in_hours_and_each_outcome_is_in_the_trail(chain, lender, screened, monkeypatch):
    user = chain.users[0]
    assert lender.post("/partners/borrow/preview", wanted(user)).status_code == 200
    assert lender.borrow(user, 100).status_code == 202
    assert screened == [user.wallet]
    UserWallet.objects.update(screened_at=clock.now() - dt.timedelta(hours=24, seconds=1))
    assert lender.borrow(user, 100, "loan-2").status_code == 202
    assert screened == [user.wallet] * 2
    assert actions(f"userWallet:{user.wallet}") == [("system:screening", "wallet.screened")] * 2
    after = [entry.after for entry in AuditEntry.objects.filter(action="wallet.screened").order_by("timestamp")]
    assert after == [{"isRefused": False, "reference": f"answer {number}"} for number in (1, 2)]


def test_a_wallet_that_the_service_refuses_is_refused_as_any_other_and_the_outcome_is_kept(chain, lender, screened):
    SAYS["now"] = answering(Screening(True, "case 7"), screened)
    assert refused_alike(lender, wanted(chain.users[0])) == REFUSED
    assert screened == [chain.users[0].wallet]
    row = UserWallet.objects.get()
    assert (row.screening_refused, row.screening_reference, row.is_blocked) == (True, "case 7", False)


@pytest.mark.parametrize("failure", ["raises", "hangs", "says nonsense"])
def test_where_the_service_cannot_be_asked_a_borrow_waits_unless_the_platform_says_otherwise(
    chain, lender, screened, settings, failure
):
    release = threading.Event()

    def fails(wallet: str) -> object:
        if failure == "raises":
            raise OSError("down")
        return release.wait(30) if failure == "hangs" else "fine"

    SAYS["now"] = fails
    settings.WALLET_SCREENING_TIMEOUT_SECONDS = 0.05
    try:
        status, code, message, _, retryable = refused_alike(lender, wanted(chain.users[0]))
        assert (status, code, retryable) == (503, "screening_unavailable", True)
        assert message == "The wallet cannot be checked now; this request reserved nothing"
        assert not UserWallet.objects.exists()
        settings.WALLET_SCREENING_REQUIRED = False
        assert lender.borrow(chain.users[0], 100).status_code == 202
        assert actions(f"userWallet:{chain.users[0].wallet}") == [("system:screening", "wallet.not_screened")]
    finally:
        release.set()


def test_a_wallet_whose_turn_came_too_late_is_not_asked_about_any_more(screened, settings):
    release = threading.Event()

    def hangs(wallet: str) -> Screening:
        screened.append(wallet)
        release.wait(30)
        return Screening(False)

    SAYS["now"] = hangs
    busy = [screening._threads().submit(service, f"busy {number}") for number in range(screening.THREADS)]
    settings.WALLET_SCREENING_TIMEOUT_SECONDS = 0.05
    try:
        with pytest.raises(Unavailable):
            screening.require_screened(WALLET)
    finally:
        release.set()
    for one in [*busy, screening._threads().submit(service, "the last")]:
        one.result(timeout=10)
    assert WALLET not in screened
    assert len(screened) == screening.THREADS + 1


class _Service(BaseHTTPRequestHandler):
    answer: tuple[int, bytes] = (200, b"{}")
    got: list[tuple[str, Any]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.headers.get("Authorization", ""), body))
        status, content = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def http_service(settings: Any) -> Any:
    server = HTTPServer(("127.0.0.1", 0), _Service)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    settings.WEBHOOK_ALLOWED_NETWORKS = ["127.0.0.0/8"]
    settings.WALLET_SCREENING_URL = f"http://127.0.0.1:{server.server_port}/screen"
    settings.WALLET_SCREENING_TOKEN = "secret-of-ours"
    _Service.got = []
    screening_service._client.cache_clear()
    yield _Service
    screening_service._client().close()
    screening_service._client.cache_clear()
    server.shutdown()
    server.server_close()


def test_the_ready_service_posts_the_wallet_and_understands_what_is_said(http_service):
    for content, outcome in (
        (b'{"refused": true, "reference": "case 7"}', Screening(True, "case 7")),
        (b'{"refused": false}', Screening(False, "")),
    ):
        http_service.answer = (200, content)
        assert screening_service.ask_service(WALLET) == outcome
    assert http_service.got == [("Bearer secret-of-ours", {"wallet": WALLET})] * 2


@pytest.mark.parametrize(
    "answer",
    [
        (500, b'{"refused": false}'),
        (302, b""),
        (200, b"<html>"),
        (200, b'{"refused": "no"}'),
        (200, b"[]"),
        (200, b"{}"),
    ],
)
def test_whatever_else_it_says_is_a_failure(http_service, answer):
    http_service.answer = answer
    with pytest.raises(screening_service.ScreeningFailed):
        screening_service.ask_service(WALLET)


def test_without_a_service_nobody_is_asked(settings):
    settings.WALLET_SCREENING = ""
    screening.require_screened(WALLET)
    assert not UserWallet.objects.exists()
