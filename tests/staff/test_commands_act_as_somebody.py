"""Every command that changes something refuses without `--as`, and who lacks the right, and records that."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command, get_commands, load_command_class
from django.test import override_settings
from pytest_django import Settings

from audit.models import AuditEntry
from authority.acting import staff_of
from authority.approvals.requiring import WaitsForApproval
from authority.commands import StaffCommand
from authority.models import Approval
from authority.roles import RIGHTS, Role
from chain.rpc.clients import get_client
from partner_platform.core.management.output import JsonCommand
from partners.models import ApiKey, Partner, PartnerStatus
from partners.services import activate_partner
from tests.factories import ApiKeyFactory, PartnerFactory
from tests.staff.command_table import ACTS, OF_NOBODY, READING, Act
from tests.support.commands import person

PROJECT = settings.BASE_DIR
NOBODYS_ADDRESS = "0x00000000000000000000000000000000000000AA"


@pytest.fixture(autouse=True)
def without_a_chain(settings: Settings) -> Iterator[None]:
    """Who may act gets as far as the node, which does not answer; whoever may not is refused before it is asked."""
    settings.CHAIN_RPC_URLS, settings.PLATFORM_EXECUTOR_ADDRESS = ["http://127.0.0.1:9"], NOBODYS_ADDRESS
    get_client.cache_clear()
    yield
    get_client.cache_clear()


def arguments_of(act: Act, key: ApiKey) -> list[str]:
    approval = Approval.objects.first()
    meant = {"PARTNER": key.partner.partner_id, "KEY": str(key.pk), "APPROVAL": str(approval and approval.pk)}
    return [meant.get(word, word).replace("ADDRESS", NOBODYS_ADDRESS) for word in act.arguments]


def project_commands() -> set[str]:
    parents = (PROJECT, PROJECT / "partner_platform")
    ours = {app.name for app in apps.get_app_configs() if Path(app.path).parent in parents}
    return {name for name, app in get_commands().items() if app in ours}


def test_every_command_of_the_project_has_a_row() -> None:
    named = {act.command for act in ACTS} | {words.split()[0] for words in READING} | set(OF_NOBODY)
    assert project_commands() == named


def test_every_command_that_changes_something_is_a_staff_command() -> None:
    for name in project_commands() - set(OF_NOBODY):
        command = load_command_class(str(get_commands()[name]), name)
        is_acting = name in {act.command for act in ACTS}
        assert isinstance(command, StaffCommand if is_acting else JsonCommand), name
        assert isinstance(command, StaffCommand) is is_acting, name


def test_the_table_says_what_the_roles_say() -> None:
    for act in ACTS:
        assert act.roles == {role for role, rights in RIGHTS.items() if act.right in rights}, str(act)


def ask_for_an_activation() -> None:
    """Somebody asks for what a second person must approve."""
    partner = PartnerFactory.create(status=PartnerStatus.SUSPENDED)
    user = User.objects.get(username="first")
    with override_settings(APPROVALS="required"), pytest.raises(WaitsForApproval):
        activate_partner(partner=partner, actor=staff_of(user))


def rows() -> list[object]:
    return [*Partner.objects.order_by("pk").values(), *ApiKey.objects.order_by("pk").values()]


@pytest.mark.django_db
@pytest.mark.parametrize("act", ACTS, ids=str)
def test_each_role_may_what_the_table_says_and_else_leaves_an_entry(act: Act) -> None:
    key = ApiKeyFactory.create()
    person("first"), person("second")  # the system is not empty
    ask_for_an_activation()
    before = rows()
    with pytest.raises(CommandError, match=r"^Say who acts: --as USER, after manage\.py login --as USER\.$"):
        call_command(act.command, *arguments_of(act, key))
    for role in sorted(set(Role) - act.roles):
        with pytest.raises(CommandError) as refused:
            call_command(act.command, *arguments_of(act, key), as_user=person(role, role), stdout=io.StringIO())
        assert str(refused.value) == f"{act.command} was refused: {role} does not have the right {act.right}"
        entry = AuditEntry.objects.get(actor=f"staff:{role}")
        assert (entry.action, entry.target) == ("staff.refused", f"command:{act.command}")
        assert entry.after == {"code": "right_missing", "right": str(act.right)}
    assert rows() == before
    for role in sorted(act.roles):
        assert not is_refused(act, key, person(role, role)), role
    assert not is_refused(act, key, person("root"))


def is_refused(act: Act, key: ApiKey, username: str) -> bool:
    """Whether the right is missing; that the chain does not answer, or that nothing is left to do, is another thing."""
    try:
        call_command(act.command, *arguments_of(act, key), as_user=username, stdout=io.StringIO(), stderr=io.StringIO())
    except CommandError:
        pass
    return AuditEntry.objects.filter(action="staff.refused", actor=f"staff:{username}").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("typed", sorted(READING))
def test_what_only_shows_needs_nobody(typed: str) -> None:
    key = ApiKeyFactory.create()
    command, *words = [key.partner.partner_id if word == "PARTNER" else word for word in typed.split()]
    before = rows()
    refusal = ""
    try:
        call_command(command, *words, stdout=io.StringIO(), stderr=io.StringIO())
    except CommandError as error:
        refusal = str(error)
    assert "Say who acts" not in refusal
    assert rows() == before
    assert not AuditEntry.objects.exists()
