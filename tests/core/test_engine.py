"""What Django promises about lookups, updates, uniqueness and the console holds on every engine."""

import uuid

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.db import IntegrityError, NotSupportedError, connection
from django.db.models import OuterRef, ProtectedError, Q, Subquery, Value
from django.db.models.functions import Lower
from django.test import Client

from chain.models import Operation
from loans.models import OaidCredit, Repayment
from partners.models import Partner
from tests.factories import LoanFactory, OperationFactory
from tests.support.planner import assert_uses_index

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"


def test_iexact_reads_its_text_as_text_so_that_a_pattern_logs_nobody_in() -> None:
    User.objects.create_user("alice", password=PASSWORD)
    User.objects.create_user("a_b+c.d", password=PASSWORD)
    assert not User.objects.filter(username__iexact=".*").exists()
    assert not User.objects.filter(username__iexact="al.ce").exists()
    assert not User.objects.filter(username__iexact="alice|x").exists()
    assert User.objects.get(username__iexact="ALICE").username == "alice"
    assert User.objects.get(username__iexact="A_B+C.D").username == "a_b+c.d"
    assert not User.objects.annotate(low=Lower("username")).filter(low__iexact=".*").exists()


def test_an_update_with_a_subquery_is_refused_on_mongodb_where_it_would_write_null() -> None:
    OaidCredit.objects.create(oaid_token_id=1, reserved=1)
    update = {"reserved": Subquery(OaidCredit.objects.filter(pk=OuterRef("pk")).values("settled_block")[:1])}
    if connection.vendor == "mongodb":
        with pytest.raises(NotSupportedError, match="subquery"):
            OaidCredit.objects.update(**update)
        with pytest.raises(NotSupportedError, match="subquery"):
            OaidCredit.objects.filter(pk__in=OaidCredit.objects.filter(reserved=99)).update(reserved=7)
        assert OaidCredit.objects.get().reserved == 1
    else:
        assert OaidCredit.objects.update(**update) == 1
        assert OaidCredit.objects.get().reserved == 0


def test_an_update_touches_the_rows_its_filter_names_and_counts_those() -> None:
    for number in (1, 2, 3):
        OaidCredit.objects.create(oaid_token_id=number, reserved=number)
    assert OaidCredit.objects.filter(Q(reserved=1) | Q(reserved=3)).update(reserved=Value(9)) == 2
    assert OaidCredit.objects.filter(reserved=4).update(reserved=5) == 0
    assert sorted(OaidCredit.objects.values_list("reserved", flat=True)) == [2, 9, 9]


def test_an_index_serves_every_unique_column_nullable_or_not() -> None:
    assert_uses_index(Operation.objects.filter(key="x"))
    assert_uses_index(Repayment.objects.filter(operation_id=uuid.uuid4()))
    assert_uses_index(User.objects.filter(username="alice"))
    assert_uses_index(Session.objects.filter(session_key="abc"))


def test_a_nullable_unique_column_holds_many_nulls_and_each_value_once() -> None:
    loan, operation = LoanFactory.create(), OperationFactory.create(kind="repay")
    values = {"loan": loan, "partner": loan.partner, "amount": 1, "funding": "TRUSTED"}
    Repayment.objects.create(**values)
    Repayment.objects.create(**values)
    Repayment.objects.create(**values, operation=operation)
    with pytest.raises(IntegrityError):
        Repayment.objects.create(**values, operation=operation)
    assert Repayment.objects.count() == 3


def test_bulk_inserts_are_all_or_nothing() -> None:
    rows = [OaidCredit(oaid_token_id=number) for number in (1, 2, 1)]
    with pytest.raises(IntegrityError):
        OaidCredit.objects.bulk_create(rows)
    assert OaidCredit.objects.count() == 0


def test_a_users_groups_and_permissions_work_for_the_console() -> None:
    user = User.objects.create_user("bob", password=PASSWORD, is_staff=True)
    group = Group.objects.create(name="readers")
    group.permissions.add(Permission.objects.get(codename="view_partner"))
    user.groups.add(group)
    assert User.objects.get(pk=user.pk).has_perm("partners.view_partner")
    assert not User.objects.get(pk=user.pk).has_perm("partners.change_partner")


def test_staff_log_in_to_the_console_and_see_its_lists() -> None:
    User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    answer = client.post("/console/login/?next=/console/", {"username": "root", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/console/")
    assert Session.objects.count() == 1
    for path in ("", "auth/user/", "auth/group/", "auth/user/?q=ro", "loans/partnerloan/", "auth/user/add/"):
        assert client.get(f"/console/{path}").status_code == 200, path


def test_staff_add_and_change_a_user_in_the_console_with_its_history() -> None:
    root = User.objects.create_superuser("root", password=PASSWORD)
    client = Client()
    client.force_login(root)
    form = {"username": "carol", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post("/console/auth/user/add/", form).status_code == 302
    carol = User.objects.get(username="carol")
    assert client.get(f"/console/auth/user/{carol.pk}/change/").status_code == 200
    assert client.get(f"/console/auth/user/{carol.pk}/history/").status_code == 200
    form = {"first_name": "Carol", "last_name": "", "email": "", "is_staff": "on"}
    assert client.post(f"/console/auth/user/{carol.pk}/change/", form).status_code == 302
    carol.refresh_from_db()
    assert (carol.first_name, carol.is_staff) == ("Carol", True)
    assert root.logentry_set.count() == 2


def test_deleting_what_others_point_at_is_refused_by_django_where_the_database_cannot() -> None:
    loan = LoanFactory.create()
    for row in (loan.partner, loan.borrow_operation):
        with pytest.raises(ProtectedError):
            row.delete()
    assert (Partner.objects.count(), Operation.objects.count()) == (1, 1)
