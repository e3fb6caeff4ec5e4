"""`GET /partners/loans`: all of a partner's loans, by what the partner looks for them with."""

import datetime as dt
import importlib
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from loans.labels import label_of
from loans.models import PartnerLoan
from partner_platform.core.clock import isoformat
from tests.factories import LoanFactory, PartnerFactory, partner_with_key

pytestmark = pytest.mark.django_db

WALLET, OTHER_WALLET = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7", "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)


class Lender:
    """A partner with a key and its loans, which are rows: nothing is asked of the chain."""

    def __init__(self) -> None:
        self.partner, self.key = partner_with_key()

    def loan(self, name: str, days: int, **columns: Any) -> PartnerLoan:
        loan: PartnerLoan = LoanFactory.create(
            partner=self.partner, partner_loan_id=name, created_at=NOON + dt.timedelta(days=days), **columns
        )
        return loan

    def get(self, query: str = "", **headers: str) -> Any:
        return Client().get(f"/partners/loans{query}", headers={"Authorization": f"Bearer {self.key}", **headers})

    def names(self, query: str = "") -> list[str]:
        return [loan["partnerLoanId"] for loan in self.get(query).json()["loans"]]


@pytest.fixture
def lender() -> Lender:
    lender = Lender()
    lender.loan("a", 0, partner_user_id="user-1", loan_purpose="car", user_wallet=WALLET)
    lender.loan("b", 1, partner_user_id="user-1", loan_purpose="home", user_wallet=OTHER_WALLET, status="FAILED")
    lender.loan("c", 2, partner_user_id="user-2", loan_purpose="car", user_wallet=WALLET, status="FAILED")
    lender.loan("d", 3, loan_purpose="car", user_wallet=OTHER_WALLET)
    LoanFactory.create(partner=PartnerFactory.create(), partner_user_id="user-1", loan_purpose="car")
    return lender


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "dcba"),
        ("?status=FAILED", "cb"),
        (f"?userWallet={WALLET.lower()}", "ca"),
        ("?partnerUserId=user-1", "ba"),
        ("?loanPurpose=car", "dca"),
        ("?loanPurpose=car&status=PENDING", "da"),
        (f"?loanPurpose=car&userWallet={OTHER_WALLET}", "d"),
        (f"?partnerUserId=user-1&loanPurpose=home&status=FAILED&userWallet={OTHER_WALLET}", "b"),
        ("?partnerUserId=USER-1", ""),
        ("?startDate=2026-01-06&endDate=2026-01-07", "cb"),
        ("?startDate=2026-01-07&loanPurpose=car", "dc"),
        ("?endDate=2026-01-05", "a"),
    ],
)
def test_the_filters_select_what_they_say_newest_first_and_only_of_this_partner(
    lender: Lender, query: str, found: str
) -> None:
    page = lender.get(query).json()
    assert [loan["partnerLoanId"] for loan in page["loans"]] == list(found)
    assert (page["total"], page["hasMore"], page["next"]) == (len(found), False, None)


def test_a_row_has_what_a_list_of_all_users_needs(lender: Lender) -> None:
    row = PartnerLoan.objects.get(partner=lender.partner, partner_loan_id="a")
    named, unnamed = lender.get("?endDate=2026-01-05").json()["loans"][0], lender.get("?limit=1").json()["loans"][0]
    assert named == {
        "partnerLoanId": "a",
        "principalAmount": "1000",
        "remainingDebt": "1000",
        "status": "PENDING",
        "borrowedAt": None,
        "evidence": None,
        "internalLoanId": str(row.internal_loan_id),
        "userWallet": WALLET,
        "oaidTokenId": row.oaid_token_id,
        "oaidTokenIdString": str(row.oaid_token_id),
        "partnerUserId": "user-1",
        "loanPurpose": "car",
        "createdAt": isoformat(NOON),
    }
    assert (unnamed["partnerUserId"], unnamed["loanPurpose"]) == (None, "car")


def test_cursors_lead_through_all_loans_once_and_belong_to_their_filters(lender: Lender) -> None:
    page = lender.get("?loanPurpose=car&limit=2").json()
    cursor = page["next"]
    assert [loan["partnerLoanId"] for loan in page["loans"]] == ["d", "c"]
    assert lender.names(f"?loanPurpose=car&limit=2&cursor={cursor}") == ["a"]
    assert lender.names("?loanPurpose=car&limit=2&offset=2") == ["a"]
    for other in ("?limit=2", "?loanPurpose=home&limit=2", "?partnerUserId=car&limit=2"):
        answer = lender.get(f"{other}&cursor={cursor}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")


@pytest.mark.parametrize(
    ("query", "field", "code"),
    [
        ("?status=OPEN", "status", "invalid_choice"),
        ("?userWallet=0x1", "userWallet", "invalid"),
        ("?partnerUserId=", "partnerUserId", "blank"),
        (f"?loanPurpose={'x' * 129}", "loanPurpose", "max_length"),
        ("?startDate=2026-02-02&endDate=2026-02-01", "endDate", "invalid"),
        ("?purpose=car", "purpose", "unknown_field"),
    ],
)
def test_a_wrong_query_is_refused_by_name(lender: Lender, query: str, field: str, code: str) -> None:
    answer = lender.get(query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [(problem["field"], problem["code"]) for problem in answer.json()["errors"]] == [(field, code)]


@pytest.mark.usefixtures("known_blocks_kept")
def test_a_page_is_the_key_a_count_the_rows_and_the_log(lender: Lender) -> None:
    lender.get()
    with CaptureQueriesContext(connection) as queries:
        assert lender.get("?loanPurpose=car").status_code == 200
    assert len(queries) == 4, [query["sql"] for query in queries.captured_queries]


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("user_xyz_456", "user_xyz_456"),
        (" As It Is ", " As It Is "),
        (42, "42"),
        (-(2**63), "-9223372036854775808"),
        ("x" * 128, "x" * 128),
        ("x" * 129, ""),
        ("", ""),
        (None, ""),
        (True, ""),
        (1.5, ""),
        (["user"], ""),
        ({"id": "user"}, ""),
    ],
)
def test_a_label_is_a_short_text_or_a_whole_number_and_the_migration_finds_the_same(value: Any, label: str) -> None:
    assert label_of({"partnerUserId": value}, "partnerUserId") == label
    assert migration()._label({"partnerUserId": value}, "partnerUserId") == label


@pytest.mark.parametrize("metadata", [None, {}])
def test_a_loan_without_metadata_has_no_labels(metadata: Any) -> None:
    assert label_of(metadata, "loanPurpose") == migration()._label(metadata, "loanPurpose") == ""


def migration() -> Any:
    return importlib.import_module("loans.migrations.0014_what_loans_are_listed_by")


def test_loans_of_before_get_their_labels_in_batches_and_a_second_run_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(migration(), "BATCH", 2)
    given = [{"partnerUserId": f"u{number % 2}", "loanPurpose": number} for number in range(4)]
    given += [{"other": "x"}, {"partnerUserId": ["u"], "loanPurpose": "car"}]
    partner = PartnerFactory.create()
    for number, metadata in enumerate([*given, None]):
        LoanFactory.create(partner=partner, partner_loan_id=str(number), metadata=metadata)

    def labels() -> list[tuple[str, str]]:
        rows = PartnerLoan.objects.order_by("partner_loan_id")
        return list(rows.values_list("partner_user_id", "loan_purpose"))

    for _ in range(2):
        migration().fill_labels(apps, None)
        assert labels() == [("u0", "0"), ("u1", "1"), ("u0", "2"), ("u1", "3"), ("", ""), ("", "car"), ("", "")]
