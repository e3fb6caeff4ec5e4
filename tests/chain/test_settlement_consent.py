"""Nothing that an operator's command would change is changed without a yes, typed or given beforehand."""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError

from audit.models import AuditEntry
from chain.models import Operation, OperationState, PlatformWallet, TransactionAttempt, WalletStatus
from chain.settlement import driver
from partner_platform.core import clock
from tests.chain.book import Book, wallet
from tests.chain.test_settlement_command import NOTHING, SEND, lost_nonce, settlement
from tests.support.commands import type_command
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


def quiet(_: Book, __: RpcProxy) -> None:
    driver.drive_once()


def frozen(_: Book, __: RpcProxy) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(status=WalletStatus.FROZEN, status_reason="a drill")


def with_an_incident(_: Book, __: RpcProxy) -> None:
    driver.drive_once()
    PlatformWallet.objects.update(incident="a reorg undid it", incident_at=clock.now())


def under_way(book: Book, proxy: RpcProxy) -> None:
    book.borrow()
    proxy.swallow(SEND, NOTHING)
    driver.drive_once()


def in_review(book: Book, proxy: RpcProxy) -> None:
    lost_nonce(book, proxy)


KEY = "operation-1"
ACTS: dict[str, tuple[Callable[[Book, RpcProxy], None], list[str], str]] = {
    "freeze": (quiet, ["freeze", "a drill"], "Freeze it? Accepted loans wait until it is unfrozen."),
    "unfreeze": (frozen, ["unfreeze"], "Unfreeze it? Queued operations go out at once."),
    "resend": (under_way, ["resend"], "Send 1 stored transactions again?"),
    "resend one": (under_way, ["resend", "--nonce", "0"], "Send 1 stored transactions again?"),
    "noop": (under_way, ["noop", "0"], "Let a noop take nonce 0?"),
    "incident": (with_an_incident, ["review", "--incident-seen"], "Note that the incident was read?"),
    "adopt": (in_review, ["review", KEY, "--adopt"], f"Adopt {KEY} as executed?"),
    "fail": (in_review, ["review", KEY, "--fail", "lost"], f"Declare {KEY} failed?"),
    "requeue": (in_review, ["review", KEY, "--requeue"], f"Queue {KEY} again?"),
}


def state() -> list[Any]:
    """What any of the acts would change; the lease that was taken to look is none of it."""
    names = [field.name for field in PlatformWallet._meta.concrete_fields if not field.name.startswith("lease")]
    return [
        list(PlatformWallet.objects.values(*names)),
        list(Operation.objects.values("key", "state", "reason")),
        list(TransactionAttempt.objects.values("tx_hash", "send_count")),
        AuditEntry.objects.count(),
    ]


@pytest.mark.parametrize("name", ACTS)
def test_an_act_is_asked_about_and_not_done_without_a_yes(book: Book, proxy: RpcProxy, name: str) -> None:
    begin, arguments, question = ACTS[name]
    begin(book, proxy)
    before = state()
    with pytest.raises(CommandError) as refused:
        settlement(*arguments)
    assert str(refused.value).startswith(question)
    assert str(refused.value).endswith("Say --yes.")
    assert state() == before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "done"), [("yes", True), (" YES ", True), ("y", False), ("no", False), ("", False)])
def test_at_a_terminal_only_yes_is_a_yes(book: Book, monkeypatch: pytest.MonkeyPatch, answer: str, done: bool) -> None:
    driver.drive_once()
    monkeypatch.setattr(sys, "stdin", Terminal())
    asked: list[str] = []

    def said(question: str) -> str:
        asked.append(question)
        return answer

    monkeypatch.setattr("builtins.input", said)
    if done:
        settlement("freeze", "a drill")
    else:
        with pytest.raises(CommandError, match="nothing was done"):
            settlement("freeze", "a drill")
    assert asked == ["Freeze it? Accepted loans wait until it is unfrozen. [yes/no] "]
    assert (wallet().status == WalletStatus.FROZEN) is done


def test_one_operation_is_decided_about_at_a_time(book: Book, proxy: RpcProxy) -> None:
    lost_nonce(book, proxy)
    with pytest.raises(CommandError, match="decide about one operation at a time: name its key"):
        settlement("review", "--requeue", "--yes")
    assert Operation.objects.get().state == OperationState.NEEDS_REVIEW


def test_review_shows_what_needs_it_or_the_one_that_is_named(book: Book, proxy: RpcProxy) -> None:
    driver.drive_once()
    assert "nothing needs review" in settlement("review")
    assert "there is no such operation" in settlement("review", "borrow:none")
    lost = lost_nonce(book, proxy)
    other = book.borrow()
    shown = settlement("review")
    assert lost.key in shown
    assert other.key not in shown
    assert other.key in settlement("review", other.key)


def test_a_nonce_that_is_not_under_way_is_neither_sent_again_nor_given_to_a_noop(book: Book, proxy: RpcProxy) -> None:
    under_way(book, proxy)
    for arguments, refusal in (
        (["resend", "--nonce", "7"], "refused: no such transaction is under way"),
        (["noop", "7"], "refused: the database has no such nonce"),
    ):
        before = state()
        with pytest.raises(CommandError, match=refusal):
            settlement(*arguments, "--yes")
        assert state() == before


def test_the_trail_names_who_froze(book: Book) -> None:
    driver.drive_once()
    type_command("settlement", "freeze", "a drill", "--yes", as_user="bob", stdout=io.StringIO())
    assert AuditEntry.objects.get(action="settlement.frozen").actor == "staff:bob"
