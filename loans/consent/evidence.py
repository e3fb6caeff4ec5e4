"""The proof of a user's consent, kept with its loan: it shows later what the user signed.

It holds the whole message with its domain, so that it can still be checked when the partner's terms, the executor or
the settings have changed. Older loans have only `deadline`, `nonce` and `signature` of version 1: for these the rest of
the message is made from the loan, and its domain from the settings.
"""

from typing import Any

from chain.lending.signatures import is_signed_by
from loans.consent.message import V1, AgreedBorrow, TypedMessage, UserAuthorization, assembled, domain, message
from loans.models import PartnerLoan


def to_keep(signed: TypedMessage, given: UserAuthorization) -> dict[str, object]:
    """The proof as JSON, to be kept with the loan; `digest` is the 32 bytes that were signed."""
    return {
        "version": signed.version,
        "deadline": given.deadline,
        "nonce": str(given.nonce),
        "signature": "0x" + given.signature.hex(),
        "domain": signed.data["domain"],
        "message": signed.fields,
        "digest": signed.digest,
    }


def message_of(loan: PartnerLoan) -> TypedMessage:
    """The message that the user signed for the loan; `ValueError` where it was drawn without a consent."""
    kept = _kept(loan)
    version = kept.get("version", V1)
    made = message(_borrow_of(loan, kept), version)
    return assembled(domain=kept.get("domain") or domain(version), message=kept.get("message", made))


def problems_with(loan: PartnerLoan) -> list[str]:
    """Why the loan's proof does not hold; empty where it does.

    Compares each field of the message with the loan as it was drawn, then checks the digest and the signature. A
    contract wallet is asked as of now: raises `ChainUnavailable` where it cannot be, and `ValueError` where the loan
    was drawn without a consent.
    """
    kept, signed = _kept(loan), message_of(loan)
    drawn = message(_borrow_of(loan, kept), signed.version)
    problems = [f"{name} is not the loan's" for name, value in drawn.items() if signed.fields.get(name) != value]
    if kept.get("digest", signed.digest) != signed.digest:
        problems.append("digest is not the message's")
    signature = bytes.fromhex(kept["signature"].removeprefix("0x"))
    if not is_signed_by(wallet=loan.user_wallet, message=signed.signable, signature=signature):
        problems.append("signature is not the wallet's")
    return problems


def _kept(loan: PartnerLoan) -> dict[str, Any]:
    if loan.user_authorization is None:
        raise ValueError(f"Loan {loan.partner_loan_id} was drawn without the user's consent")
    kept: dict[str, Any] = loan.user_authorization
    return kept


def _borrow_of(loan: PartnerLoan, kept: dict[str, Any]) -> AgreedBorrow:
    return AgreedBorrow(
        partner_id=loan.partner.partner_id,
        oaid_token_id=loan.oaid_token_id,
        amount=loan.principal_amount,
        partner_loan_id=loan.partner_loan_id,
        loan_duration=loan.loan_duration or 0,
        number_of_installments=loan.number_of_installments or 0,
        platform_fee=loan.platform_fee_charged,
        settlement_address=loan.settlement_address,
        nonce=int(kept["nonce"]),
        deadline=kept["deadline"],
    )
