"""`manage.py list_loans` and `manage.py show_loan`."""

import json

import pytest
from django.core.management import CommandError

from loans.models import LoanStatus
from tests.factories import LoanFactory, PartnerFactory
from tests.support.commands import said_by

pytestmark = pytest.mark.django_db
WALLET = "0x7d650b01Ea0700F7553d9260A76546ab1A97A1D7"


def test_list_loans_is_a_table_newest_first_with_the_way_on() -> None:
    partner = PartnerFactory.create(partner_id="xyz")
    LoanFactory.create(partner=partner, partner_loan_id="old", principal_amount=1_500_000)
    new = LoanFactory.create(partner=partner, partner_loan_id="new", principal_amount=5_000_000_000)
    LoanFactory.create()  # another's
    heading, row, ending = said_by("list_loans", "xyz", "--limit=1").splitlines()
    assert heading.split() == ["loan", "status", "accepted", "principal", "remaining", "debt", "user"]
    assert row.split()[:2] == ["new", "PENDING"]
    assert "$5000 (5000000000)" in row
    assert row.endswith(WALLET)
    assert ending.startswith("1 of 2 loans; go on with --cursor ")
    last = said_by("list_loans", "xyz", f"--cursor={ending.rpartition(' ')[2]}").splitlines()
    assert last[1].split()[0] == "old"
    assert last[2] == "1 of 2 loans"
    told = json.loads(said_by("list_loans", "xyz", "--json"))
    assert (told["total"], told["next"]) == (2, None)
    assert [loan["partnerLoanId"] for loan in told["loans"]] == ["new", "old"]
    assert told["loans"][0]["internalLoanId"] == str(new.internal_loan_id)
    assert told["loans"][0]["principalAmount"] == "5000000000"


def test_list_loans_takes_a_status_and_a_wallet_in_any_case() -> None:
    partner = PartnerFactory.create(partner_id="xyz")
    LoanFactory.create(partner=partner, partner_loan_id="failed", status=LoanStatus.FAILED)
    LoanFactory.create(partner=partner, partner_loan_id="others", user_wallet="0x" + "00" * 19 + "aA")
    assert [row.split()[0] for row in said_by("list_loans", "xyz", "--status=FAILED").splitlines()[1:-1]] == ["failed"]
    found = said_by("list_loans", "xyz", f"--wallet={WALLET.lower()}").splitlines()[1:-1]
    assert [row.split()[0] for row in found] == ["failed"]


@pytest.mark.parametrize(
    ("option", "refusal"),
    [
        ("--limit=0", "--limit: Must be from 1 to 1000."),
        ("--limit=1001", "--limit: Must be from 1 to 1000."),
        ("--wallet=0x12", "--wallet: Must be an address: 0x and 40 hex digits."),
        ("--cursor=x", "cursor: Not a cursor of this list: begin again without one."),
    ],
)
def test_list_loans_names_the_option_that_is_wrong(option: str, refusal: str) -> None:
    PartnerFactory.create(partner_id="xyz")
    with pytest.raises(CommandError) as refused:
        said_by("list_loans", "xyz", option)
    assert str(refused.value) == refusal


def test_show_loan_shows_what_the_api_does() -> None:
    loan = LoanFactory.create(partner_loan_id="loan_1", principal_amount=5_000_000_000)
    told = json.loads(said_by("show_loan", loan.partner.partner_id, "loan_1", "--json"))
    assert (told["partnerLoanId"], told["principalAmount"], told["status"]) == ("loan_1", "5000000000", "PENDING")
    lines = said_by("show_loan", loan.partner.partner_id, "loan_1").splitlines()
    assert "principalAmount: $5000 (5000000000)" in lines
    assert "remainingDebt: $5000 (5000000000)" in lines
    assert f"internalLoanId: {loan.internal_loan_id}" in lines


def test_another_partners_loan_is_not_found() -> None:
    loan, other = LoanFactory.create(), PartnerFactory.create(partner_id="other")
    with pytest.raises(CommandError, match=f"^other has no loan '{loan.partner_loan_id}'.$"):
        said_by("show_loan", other.partner_id, loan.partner_loan_id)
