"""Migrating: each address becomes its partner's; where partners share one nothing changes, and a person decides."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from chain.models import FundingTransfer, Operation
from loans.models import FundingSource, PartnerLoan, Repayment, RepaymentStatus
from partner_platform.core import clock
from partners.models import Partner, SettlementAddress
from tests.partners.test_commands import run
from tests.partners.test_settlement_addresses import FIRST, SECOND, THIRD

OTHERS = [("loans", "0008_evidence_and_authority"), ("chain", "0005_evidence_and_authority")]
BEFORE = [("partners", "0005_key_changes"), *OTHERS]
TABLE = [("partners", "0006_settlement_addresses"), *OTHERS]
pytestmark = pytest.mark.django_db(transaction=True)


def migrate(targets: list[tuple[str, str]] | None = None) -> Any:
    """To these migrations, or the newest; answers the models as they are then."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets or executor.loader.graph.leaf_nodes())
    return MigrationExecutor(connection).loader.project_state(targets).apps if targets else None


@pytest.fixture
def old() -> Iterator[Any]:
    """The models before addresses had owners; at the end everything is migrated again, with no rows in the way."""
    apps = migrate(BEFORE)
    yield apps
    for model in ("loans.Repayment", "loans.PartnerLoan", "chain.Operation", "chain.FundingTransfer"):
        migrated(model).delete()
    migrated("partners.Partner").delete()
    migrate()


def migrated(model: str) -> Any:
    executor = MigrationExecutor(connection)
    apps = executor.loader.project_state(list(executor.loader.applied_migrations)).apps
    for name in ("partners.SettlementAddress", "partners.Onboarding", "loans.PartnerSpending", "loans.NotedAddress"):
        try:
            apps.get_model(name).objects.all().delete()
        except LookupError:
            pass
    return apps.get_model(model).objects.all()


def add_partner(apps: Any, name: str, address: str) -> Any:
    return apps.get_model("partners", "Partner").objects.create(
        partner_id=name,
        partner_name=name,
        key_label="old",
        daily_borrow_limit=1,
        total_borrow_limit=1,
        settlement_address=address,
        contact_email="a@example.com",
        created_by="test",
    )


def add_loan(apps: Any, partner: Any, name: str, address: str) -> Any:
    operation = apps.get_model("chain", "Operation").objects.create(
        key=f"borrow:{name}", uid=f"0x{abs(hash(name)):064x}"[:66], kind="borrow", calls=[], effect=[]
    )
    return apps.get_model("loans", "PartnerLoan").objects.create(
        partner=partner,
        partner_loan_id=name,
        partner_name=partner.partner_name,
        user_wallet=THIRD,
        oaid_token_id=1,
        solvency_position_id=1,
        principal_amount=100,
        outstanding_principal=100,
        platform_fee_charged=1,
        net_amount=99,
        remaining_credit=0,
        settlement_address=address,
        borrow_operation=operation,
        daily_usage_day=clock.today(),
    )


def add_repayment(apps: Any, loan: Any, **fields: Any) -> Any:
    """A settled one of 60, of which the platform covered 2, in block 7."""
    number = apps.get_model("loans", "Repayment").objects.count()
    operation = apps.get_model("chain", "Operation").objects.create(
        key=f"repay:{number}",
        uid=f"0x{number + 1:064x}",
        kind="repay",
        calls=[],
        effect=[],
        executor=THIRD.lower(),
        block_number=7 + number,
    )
    values = {"amount": 60, "platform_covered": 2, "status": "SETTLED", "funding": "TRANSFER", **fields}
    return apps.get_model("loans", "Repayment").objects.create(
        loan=loan, partner=loan.partner, operation=operation, **values
    )


def transfer(apps: Any, sender: str) -> Any:
    return apps.get_model("chain", "FundingTransfer").objects.create(
        tx_hash="0x" + "ab" * 32, sender=sender, recipient=THIRD, value=100, block_number=5, block_hash="0x" + "cd" * 32
    )


def owners() -> dict[str, str]:
    return dict(SettlementAddress.objects.values_list("address", "partner__partner_id"))


def test_present_addresses_and_former_ones_become_their_partners(old: Any) -> None:
    first, second = add_partner(old, "first", FIRST.lower()), add_partner(old, "second", SECOND)
    add_loan(old, first, "L-1", FIRST)
    loan = add_loan(old, second, "L-2", THIRD.lower())
    sent = "0x" + "5e" * 20
    add_repayment(old, loan, funding_transfer=transfer(old, sent))

    migrate()

    assert {address.lower(): name for address, name in owners().items()} == {
        FIRST.lower(): "first",
        SECOND.lower(): "second",
        THIRD.lower(): "second",
        sent: "second",
    }
    assert {FIRST, SECOND, THIRD} < set(owners())  # checksummed
    assert Partner.objects.get(partner_id="first").settlement_address == FIRST


def test_partners_that_share_an_address_stop_it_and_a_command_is_the_way_on(old: Any, settings: Any) -> None:
    settings.APPROVALS = "required"  # which nothing can wait for: its table may not be there
    add_partner(old, "first", FIRST)
    add_partner(old, "second", FIRST.lower())
    add_partner(old, "third", SECOND)
    for _ in range(2):  # stopped, it may be tried again
        with pytest.raises(CommandError) as stopped:
            migrate()
        lines = str(stopped.value).splitlines()
        assert lines[:2] == ["Partners share a settlement address:", f"  {FIRST}: first, second"]
        assert any("manage.py set_settlement_address PARTNER_ID ADDRESS" in line for line in lines)
        assert not SettlementAddress.objects.exists()
        addresses = dict(Partner.objects.values_list("partner_id", "settlement_address"))
        assert addresses == {"first": FIRST, "second": FIRST.lower(), "third": SECOND}

    with pytest.raises(CommandError, match=r"There is no partner 'fourth'. Active partners: first, second, third"):
        run("set_settlement_address", "fourth", THIRD)
    run("set_settlement_address", "second", THIRD)
    assert AuditEntry.objects.get(action="partner.updated").actor == "system:migration:ann"
    with pytest.raises(CommandError, match="address: Belongs to second, now or formerly"):
        run("set_settlement_address", "first", THIRD)
    migrate()

    assert owners() == {FIRST: "first", SECOND: "third", THIRD: "second"}
    assert Partner.objects.get(partner_id="second").settlement_address == THIRD


def test_who_left_a_shared_address_left_it_to_the_other(old: Any) -> None:
    """Both drew loans to it; by the time of the second migration it is the one's who uses it."""
    first, second = add_partner(old, "first", FIRST), add_partner(old, "second", SECOND)
    add_loan(old, first, "L-1", FIRST)
    add_loan(old, second, "L-2", FIRST)

    migrate()

    assert owners() == {FIRST: "first", SECOND: "second"}


def test_an_address_that_several_used_formerly_is_for_a_person(old: Any) -> None:
    first, second = add_partner(old, "first", FIRST), add_partner(old, "second", SECOND)
    add_loan(old, first, "L-1", THIRD)
    add_loan(old, second, "L-2", THIRD)
    for _ in range(2):
        with pytest.raises(CommandError) as stopped:
            migrate()
        lines = str(stopped.value).splitlines()
        assert lines[:2] == ["Several partners used a settlement address formerly:", f"  {THIRD}: first, second"]
        assert owners() == {FIRST: "first", SECOND: "second"}

    with pytest.raises(CommandError, match="address: Belongs to first, now or formerly"):
        run("set_settlement_address", "second", FIRST, "--former")
    run("set_settlement_address", "second", THIRD, "--former")
    migrate()

    assert owners() == {FIRST: "first", SECOND: "second", THIRD: "second"}


def test_one_that_was_stopped_in_its_middle_goes_on(old: Any) -> None:
    """On MongoDB a migration is no transaction: some are claimed already."""
    first, _ = add_partner(old, "first", FIRST), add_partner(old, "second", SECOND)
    apps = migrate(TABLE)
    apps.get_model("partners", "SettlementAddress").objects.create(address=FIRST, partner_id=first.pk)

    migrate()

    assert owners() == {FIRST: "first", SECOND: "second"}


def test_one_that_another_claimed_meanwhile_is_a_conflict_too(old: Any) -> None:
    add_partner(old, "first", FIRST)
    second = add_partner(old, "second", SECOND)
    apps = migrate(TABLE)
    apps.get_model("partners", "SettlementAddress").objects.create(address=FIRST, partner_id=second.pk)

    with pytest.raises(CommandError, match=f"{FIRST}: first \\(formerly second\\)"):
        migrate()


def test_what_repayments_took_from_the_account_is_summed_up(old: Any) -> None:
    first, second = add_partner(old, "first", FIRST), add_partner(old, "second", SECOND)
    loan, other = add_loan(old, first, "L-1", FIRST), add_loan(old, second, "L-2", SECOND)
    add_repayment(old, loan)
    add_repayment(old, loan, funding="TRUSTED", platform_covered=0)
    add_repayment(old, loan, funding="PULLED")
    add_repayment(old, loan, status="FAILED")
    add_repayment(old, loan, status="PENDING")
    add_repayment(old, other)

    migrate()

    from loans.models import PartnerSpending

    rows = PartnerSpending.objects.order_by("partner__partner_id")
    values = [(row.partner.partner_id, row.account, row.spent, row.settled_block, row.on_trust) for row in rows]
    assert values == [("first", THIRD, 118, 8, True), ("second", THIRD, 58, 12, False)]
    assert Repayment.objects.filter(funding=FundingSource.TRUSTED, status=RepaymentStatus.SETTLED).count() == 1
    assert (PartnerLoan.objects.count(), Operation.objects.count(), FundingTransfer.objects.count()) == (2, 8, 0)


def test_what_a_transfer_from_a_once_shared_address_paid_is_the_spending_of_whose_that_address_is(old: Any) -> None:
    """To that partner counts what the address brought: else it could spend on trust what is spent already."""
    from loans.models import PartnerSpending

    first, second = add_partner(old, "first", FIRST), add_partner(old, "second", SECOND)
    loan = add_loan(old, second, "L-1", FIRST)  # formerly the second's, too
    add_repayment(old, loan, funding_transfer=transfer(old, FIRST.lower()))
    add_repayment(old, loan, funding="TRUSTED", amount=9, platform_covered=0)
    own = add_loan(old, first, "L-2", FIRST)
    add_repayment(old, own, amount=30, platform_covered=0)

    migrate()

    rows = PartnerSpending.objects.order_by("partner__partner_id")
    values = [(row.partner.partner_id, row.spent, row.settled_block, row.on_trust) for row in rows]
    assert values == [("first", 58 + 30, 9, False), ("second", 9, 8, True)]


def test_the_addresses_of_now_are_noted_and_what_they_sent_is_their_partners(old: Any, settings: Settings) -> None:
    from loans.models import NotedAddress, PartnerSpending

    settings.PLATFORM_EXECUTOR_ADDRESS = THIRD.lower()
    first = add_partner(old, "first", FIRST.lower())
    add_loan(old, first, "L-1", SECOND)

    migrate()

    assert set(NotedAddress.objects.values_list("account", "address")) == {(THIRD, FIRST), (THIRD, SECOND)}
    assert not PartnerSpending.objects.exists()
