"""E-mail: queued with what it tells of, once; sent once by whoever has it; tried again, and given up after days."""

import datetime as dt
import smtplib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.mail.backends.locmem import EmailBackend as Memory
from django.db import connection
from pytest_django.fixtures import Settings

from partner_platform.core import clock
from partner_platform.core.database.transactions import run_in_transaction
from partners import tasks
from partners.models import OutgoingMail, Partner
from partners.notices import mail
from tests.core.concurrency import at_once
from tests.factories import PartnerFactory

NOW = dt.datetime(2026, 1, 5, 9, 30, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def time(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The platform's clock, which a test moves by setting `at`; no pause varies."""
    moved = SimpleNamespace(at=NOW)
    monkeypatch.setattr(clock, "timezone", SimpleNamespace(now=lambda: moved.at))
    monkeypatch.setattr("random.random", lambda: 0.0)
    return moved


class Failing(Memory):
    """A mail server that refuses."""

    def send_messages(self, messages: Any) -> int:
        raise smtplib.SMTPRecipientsRefused({"dev@test-lending.example": (550, b"no\x00such\nuser")})


@pytest.fixture
def refuses(settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Failing"


def queue(partner: Partner, once: str = "a", subject: str = "Hello", text: str = "Good day.\n") -> bool:
    return run_in_transaction(lambda: mail.queue_mail(partner=partner, once=once, subject=subject, text=text))


def row() -> OutgoingMail:
    return OutgoingMail.objects.get()


@pytest.mark.django_db
def test_a_mail_is_sent_to_the_contact_with_an_id_of_its_own(settings: Settings) -> None:
    settings.DEFAULT_FROM_EMAIL = "Platform <hello@platform.example>"
    assert queue(PartnerFactory.create(contact_email="dev@lender.example"))
    assert outbox.outbox == []
    assert [tasks.send_mail(), tasks.send_mail()] == [1, 0]
    (sent,) = outbox.outbox
    assert (sent.subject, sent.body, sent.to, sent.cc, sent.bcc) == (
        "Hello",
        "Good day.\n",
        ["dev@lender.example"],
        [],
        [],
    )
    assert sent.from_email == "Platform <hello@platform.example>"
    assert sent.message()["Message-ID"] == f"<{row().pk}@platform.example>"
    assert sent.message()["Auto-Submitted"] == "auto-generated"
    assert (row().sent_at, row().due_at, row().attempts, row().last_error) == (NOW, None, 1, "")


@pytest.mark.django_db
def test_the_same_is_queued_once_and_its_first_text_is_sent() -> None:
    partner = PartnerFactory.create()
    assert [queue(partner, text="one"), queue(partner, text="two"), queue(partner, once="b", text="three")] == [
        True,
        False,
        True,
    ]
    assert mail.send_due_mails() == 2
    assert not queue(partner, text="four")  # also after it was sent
    assert mail.send_due_mails() == 0
    assert sorted(sent.body for sent in outbox.outbox) == ["one", "three"]


@pytest.mark.django_db
def test_nothing_is_queued_for_a_partner_without_an_address() -> None:
    assert not queue(PartnerFactory.create(contact_email=""))
    assert OutgoingMail.objects.count() == 0


@pytest.mark.django_db
def test_what_names_a_mail_must_fit_its_column_on_every_database() -> None:
    partner = PartnerFactory.create()
    assert queue(partner, once="x" * 120)
    with pytest.raises(ValueError, match="121 characters"):
        queue(partner, once="x" * 121)


@pytest.mark.django_db(transaction=True)
def test_a_mail_is_gone_with_the_transaction_that_is_rolled_back() -> None:
    partner = PartnerFactory.create()

    def change_and_fail() -> None:
        assert mail.queue_mail(partner=partner, once="a", subject="Hello", text="")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        run_in_transaction(change_and_fail)
    assert (mail.send_due_mails(), outbox.outbox) == (0, [])
    assert queue(partner)


@pytest.mark.django_db(transaction=True)
def test_transactions_that_queue_the_same_at_once_all_commit_and_one_mail_is_queued() -> None:
    """Each moves money of its own, which must not be lost to a mail."""
    partners = PartnerFactory.create_batch(8)

    def pay(number: int) -> bool:
        def work() -> bool:
            Partner.objects.filter(pk=partners[number].pk).update(total_repaid=7)
            return mail.queue_mail(partner=partners[0], once="a", subject="Hello", text="")

        return run_in_transaction(work)

    assert sum(at_once(8, pay)) == 1
    assert list(Partner.objects.values_list("total_repaid", flat=True)) == [7] * 8
    assert OutgoingMail.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer: nobody can overtake a transaction")
def test_a_transaction_that_is_overtaken_between_its_look_and_its_insert_runs_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    partner = PartnerFactory.create()
    runs: list[int] = []
    one_line = mail._one_line

    def overtaken(text: str) -> str:
        if len(runs) == 1 and OutgoingMail.objects.count() == 0:
            at_once(1, lambda _: _insert(partner))
        return one_line(text)

    monkeypatch.setattr(mail, "_one_line", overtaken)

    def work() -> bool:
        runs.append(1)
        Partner.objects.filter(pk=partner.pk).update(total_repaid=7)
        return mail.queue_mail(partner=partner, once="a", subject="Hello", text="mine")

    assert not run_in_transaction(work)
    assert len(runs) == 2
    assert (row().text, Partner.objects.get().total_repaid) == ("theirs", 7)


def _insert(partner: Partner) -> None:
    OutgoingMail.objects.create(partner_id=partner.pk, once="a", recipient="x@y.example", subject="", text="theirs")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("subject", "sent_as"),
    [
        ("Hello\nBcc: thief@evil.example", "Hello Bcc: thief@evil.example"),
        ("Hello\r\n\r\nbody\x00\u202e", r"Hello body\x00\u202e"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_a_subject_is_one_line_and_begins_no_other_header(subject: str, sent_as: str) -> None:
    queue(PartnerFactory.create(), subject=subject)
    assert row().subject == sent_as
    assert mail.send_due_mails() == 1
    (sent,) = outbox.outbox
    assert sent.subject == sent_as
    assert set(sent.message().keys()) == {
        *("Content-Type", "MIME-Version", "Content-Transfer-Encoding", "Subject", "From", "To", "Date", "Message-ID"),
        "Auto-Submitted",
    }
    assert sent.recipients() == [row().recipient]


@pytest.mark.django_db
def test_an_address_with_a_line_break_is_sent_nowhere() -> None:
    queue(PartnerFactory.create(contact_email="dev@lender.example\nBcc: thief@evil.example"))
    assert (mail.send_due_mails(), outbox.outbox) == (0, [])
    assert row().sent_at is None
    assert "Error" in row().last_error


@pytest.mark.django_db(transaction=True)
def test_senders_at_once_send_each_mail_once() -> None:
    partner = PartnerFactory.create()
    for number in range(10):
        queue(partner, once=str(number), text=str(number))
    assert sum(at_once(4, lambda _: mail.send_due_mails())) == 10
    assert sorted(sent.body for sent in outbox.outbox) == [str(number) for number in range(10)]


@pytest.mark.django_db
def test_a_sender_that_died_is_followed_after_its_lease_and_not_before(
    time: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(PartnerFactory.create())

    def die(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dying, pytest.raises(KeyboardInterrupt):
        dying.setattr(mail, "_message", die)
        mail.send_due_mails()
    time.at = NOW + mail.LEASE - SECOND
    assert mail.send_due_mails() == 0
    time.at = NOW + mail.LEASE
    assert mail.send_due_mails() == 1
    assert row().attempts == 2


@pytest.mark.django_db
def test_a_mail_that_is_refused_is_tried_again_less_and_less_often_and_given_up_after_five_days(
    refuses: None, time: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    queue(PartnerFactory.create())
    pauses = []
    while (due := row().due_at) is not None:
        time.at = due
        assert mail.send_due_mails() == 0
        if row().due_at is not None:
            pauses.append((row().due_at - due).total_seconds() / 60)
    assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]
    assert set(pauses[9:]) == {360}
    assert dt.timedelta(days=5) <= time.at - NOW < dt.timedelta(days=5, hours=6)
    assert row().last_error == (r"SMTPRecipientsRefused: {'dev@test-lending.example': (550, b'no\x00such\nuser')}")
    (given_up,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert given_up.getMessage().startswith(f"mail {row().pk} to dev@test-lending.example is given up: SMTPRec")
    time.at += dt.timedelta(days=30)
    assert (mail.send_due_mails(), row().attempts) == (0, len(pauses) + 1)
    assert mail.oldest_unsent_seconds() == 0


@pytest.mark.django_db
def test_a_mail_that_was_refused_is_sent_once_the_server_takes_it(settings: Settings, time: SimpleNamespace) -> None:
    queue(PartnerFactory.create())
    memory, settings.EMAIL_BACKEND = settings.EMAIL_BACKEND, f"{__name__}.Failing"
    assert mail.send_due_mails() == 0
    settings.EMAIL_BACKEND = memory
    assert mail.send_due_mails() == 0  # it is not due yet
    time.at = NOW + dt.timedelta(minutes=1)
    assert mail.send_due_mails() == 1
    assert (row().sent_at, row().due_at, row().attempts, row().last_error) == (time.at, None, 2, "")


@pytest.mark.django_db
def test_a_pass_begins_no_mail_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    partner = PartnerFactory.create()
    for number in range(3):
        queue(partner, once=str(number))
    moments = iter([0.0, 1.0, mail.PASS_SECONDS, mail.PASS_SECONDS + 1])
    monkeypatch.setattr(mail, "time", SimpleNamespace(monotonic=lambda: next(moments)))
    assert mail.send_due_mails() == 2
    assert OutgoingMail.objects.filter(sent_at=None, attempts=0).count() == 1


@pytest.mark.django_db
def test_the_age_of_the_oldest_mail_to_be_sent_is_known(time: SimpleNamespace, refuses: None) -> None:
    assert mail.oldest_unsent_seconds() == 0
    queue(PartnerFactory.create())
    time.at = NOW + 90 * SECOND
    assert mail.oldest_unsent_seconds() == 90
    assert mail.send_due_mails() == 0
    assert mail.oldest_unsent_seconds() == 90  # a refused one still waits


@pytest.mark.django_db
def test_a_mail_can_be_written_to_a_file(settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "django.core.mail.backends.filebased.EmailBackend", tmp_path
    queue(PartnerFactory.create(contact_email="dev@lender.example"))
    assert mail.send_due_mails() == 1
    (file,) = tmp_path.iterdir()
    assert "To: dev@lender.example\n" in file.read_text()
