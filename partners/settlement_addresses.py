"""Which partner owns a settlement address: exactly one, for ever (M3).

Repayments are pulled from it by its allowance, and transfers from it fund them: if two partners shared an address, one
could spend the other's money. So an address is claimed in the transaction that makes it a partner's, and stays that
partner's when it takes another: its allowance and its transfers may outlive the change. The unique constraint decides
between two concurrent claims. Addresses are checksummed (`core.ethereum.parse_address`), so that the same one is never
written in two ways.
"""

import uuid

from django.conf import settings
from django.db import IntegrityError

from audit.services import record_change
from authority.acting import needs
from authority.rights import Right
from partner_platform.core.database.transactions import run_in_transaction
from partner_platform.core.errors import invalid_fields
from partner_platform.core.ethereum import parse_address
from partners import terms
from partners.approvals import sensitive
from partners.models import Partner, SettlementAddress

API_NAME = terms.FIELDS["settlement_address"].api_name
# The settings that name the system's own contracts: what is pulled from one of them, or sent by it, is no partner's.
_OF_THE_SYSTEM = (
    *("PLATFORM_EXECUTOR_ADDRESS", "USDC_ADDRESS", "SOLVENCY_VAULT_ADDRESS"),
    *("SENIOR_POOL_ADDRESS", "OAID_ADDRESS"),
)


def problem_with(address: str, *, partner_id: uuid.UUID | None) -> str | None:
    """Why the address cannot be the partner's (None: a new one's); None where it can. One query."""
    if address.lower() in {getattr(settings, name).lower() for name in _OF_THE_SYSTEM}:
        return "Is a contract of the platform."
    owner = SettlementAddress.objects.filter(address=address).values_list("partner", "partner__partner_id").first()
    if owner is None or owner[0] == partner_id:
        return None
    return f"Belongs to {owner[1]}, now or formerly."


def require_free(address: str, *, partner_id: uuid.UUID | None) -> None:
    """Raise 400 `invalid_request` naming `settlementAddress` unless the partner may have the address."""
    problem = problem_with(address, partner_id=partner_id)
    if problem is not None:
        raise invalid_fields({API_NAME: [problem]})


def claim_address(address: str, *, partner_id: uuid.UUID) -> None:
    """Make the address the partner's, in the caller's transaction; repeating the partner's own claim changes nothing.

    Raises 400 where another partner has it. Where another claims it at the same moment, the database raises
    `IntegrityError` or retries the transaction, and `require_free` then raises the 400.
    """
    require_free(address, partner_id=partner_id)
    if not SettlementAddress.objects.filter(address=address).exists():
        SettlementAddress.objects.create(address=address, partner_id=partner_id)


@needs(Right.CHANGE_SETTLEMENT_ADDRESS)
def note_former(*, partner: Partner, address: str, actor: str) -> bool:
    """Record an address that the partner used before claims were recorded; False where it is recorded already.

    Raises 400 where it is no address, or another's.
    """
    cleaned = terms.clean_terms({"settlement_address": address}, partial=True)["settlement_address"]

    def note() -> bool:
        if SettlementAddress.objects.filter(address=cleaned, partner_id=partner.pk).exists():
            return False
        sensitive.require_for_former_address(partner, cleaned, actor=actor)
        claim_address(cleaned, partner_id=partner.pk)
        record_change(
            actor=actor,
            action="partner.settlement_address_noted",
            target=f"partner:{partner.partner_id}",
            after={API_NAME: cleaned},
        )
        return True

    try:
        return run_in_transaction(note)
    except IntegrityError:
        require_free(cleaned, partner_id=partner.pk)  # another claimed it at the same moment
        raise


def addresses_of(partner: Partner) -> list[str]:
    """All addresses that are or were the partner's, the present one first."""
    found = SettlementAddress.objects.filter(partner_id=partner.pk).values_list("address", flat=True)
    return [partner.settlement_address, *sorted(set(found) - {partner.settlement_address})]


def owner_of(address: str) -> uuid.UUID | None:
    """The primary key of the partner whose settlement address it is or was; None where it is no partner's."""
    return SettlementAddress.objects.filter(address=parse_address(address)).values_list("partner_id", flat=True).first()


def count() -> int:
    """How many settlement addresses there are or were."""
    return SettlementAddress.objects.count()


def owners() -> dict[str, uuid.UUID]:
    """Every settlement address there is or was, and its partner's key."""
    return dict(SettlementAddress.objects.values_list("address", "partner_id"))
