"""All rows go to a database of another engine and arrive whole."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command

from chain.models import Operation
from loans.models import OaidCredit, PartnerLoan
from partner_platform.core.database import copying
from partners.models import Partner
from sandbox.servers import mongodb, postgres
from sandbox.servers.ports import free_port
from sandbox.servers.process import ServerError
from tests.factories import LoanFactory

pytestmark = pytest.mark.django_db(transaction=True)

TARGETS = ("sqlite", "postgres", "mongodb")
LONG_AGO = dt.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=dt.UTC)


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of each engine whose server is on this machine."""
    folder = settings.TEST_FOLDER / f"target-{request.param}"
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'target.sqlite3'}"
        return
    make, url = (
        (postgres.postgres, postgres.postgres_url)
        if request.param == "postgres"
        else (mongodb.mongodb, mongodb.mongodb_url)
    )
    port = free_port()
    try:
        server = make(port=port, folder=folder).start()
    except ServerError as error:
        pytest.skip(str(error))
    if request.param == "mongodb":
        mongodb.initiate(port)
        yield url(port, "target")
    else:
        yield url(port, "postgres")
    server.stop()


def fill() -> None:
    loan = LoanFactory.create(partner__partner_id="p", borrow_operation__key="borrow:1")
    Partner.objects.filter(pk=loan.partner_id).update(updated_at=LONG_AGO)
    for number in range(2):
        OaidCredit.objects.create(oaid_token_id=2**256 - 1 - number, reserved=2**63 - 1)
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_partner"))
    user = User.objects.create_user("staff", password="x" * 12)
    user.groups.add(group)
    user.logentry_set.create(object_id=str(loan.pk), object_repr="loan", action_flag=1)


def ask(url: str, code: str) -> str:
    """What `code` prints with the target's settings."""
    program = f"import django; django.setup()\n{code}"
    environment = {**os.environ, "DATABASE_URL": url}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.journey
def test_everything_arrives_at_each_engine_and_the_command_says_what_it_verified(target: str) -> None:
    fill()
    output = StringIO()
    call_command("copy_database", to=target, stdout=output)
    assert "loans.partnerloan: rows 1, " in output.getvalue()
    assert f"reserved {2 * (2**63 - 1)}" in output.getvalue()
    assert "Copied and verified" in output.getvalue()

    loan = PartnerLoan.objects.get()
    found = ask(
        target,
        "from loans.models import PartnerLoan; from django.contrib.auth.models import User\n"
        "from django.contrib.admin.models import LogEntry; from partners.models import Partner\n"
        "loan = PartnerLoan.objects.get(); user = User.objects.get(username='staff')\n"
        "print(loan.pk, loan.partner.partner_id, loan.borrow_operation.key, user.has_perm('partners.view_partner'),"
        " LogEntry.objects.get().user.username, Partner.objects.get().updated_at.isoformat())",
    )
    assert found == f"{loan.pk} p borrow:1 True staff {LONG_AGO.isoformat()}"


@pytest.mark.journey
def test_a_target_that_holds_rows_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    fill()
    target = f"sqlite:///{tmp_path / 'target.sqlite3'}"
    call_command("copy_database", to=target, stdout=StringIO())
    with pytest.raises(CommandError, match="did not take the rows"):
        call_command("copy_database", to=target, stdout=StringIO())
    assert ask(target, "from partners.models import Partner; print(Partner.objects.count())") == "1"


def test_the_same_database_is_no_target() -> None:
    with pytest.raises(CommandError, match="same database"):
        call_command("copy_database", to=settings.DATABASE_URL)
    with pytest.raises(CommandError, match="--to"):
        call_command("copy_database")


@pytest.mark.journey
def test_a_sum_that_differs_fails_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when somebody wrote while the rows were on their way."""
    fill()
    dump = copying.dump

    def dump_and_write(output: object) -> None:
        dump(output)  # type: ignore[arg-type]
        OaidCredit.objects.update(reserved=1)

    monkeypatch.setattr(copying, "dump", dump_and_write)
    with pytest.raises(CommandError, match="does not agree"):
        call_command(
            "copy_database", to=f"sqlite:///{tmp_path / 'target.sqlite3'}", stdout=StringIO(), stderr=StringIO()
        )


def test_parents_come_before_their_children() -> None:
    order = [copying.label(model) for model in copying.copied_models()]
    for before, after in [
        ("partners.partner", "loans.partnerloan"),
        ("chain.operation", "loans.partnerloan"),
        ("chain.chaintransaction", "chain.operation"),
        ("contenttypes.contenttype", "auth.permission"),
        ("auth.user", "admin.logentry"),
        ("auth.group", "auth.user_groups"),
    ]:
        assert order.index(before) < order.index(after)
    assert "sessions.session" not in order
    assert len(order) == len(set(order))
    assert Operation in copying.copied_models()
