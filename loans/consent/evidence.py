"""The proof of a user's consent, kept with its loan: whoever has it can show later what the user signed.

It holds the whole message with its domain, so that it stands when the partner's terms, the executor or the settings
change. Loans from before that was kept have `deadline`, `nonce` and `signature` of version 1: the rest of that message
is made of the loan, its domain of the settings.
"""

from typing import Any

from chain.lending.signatures import digest_of, is_signed_by
from loans.consent.message import V1, Borrow, assembled, domain, message, signable, typed_data
from loans.models import PartnerLoan


def to_keep(borrow: Borrow, version: str, signature: bytes) -> dict[str, Any]:
    """What is kept with the loan, as JSON; `digest` is the 32 bytes that were signed."""
    data = typed_data(borrow, version)
    return {
        "version": version,
        "deadline": borrow.deadline,
        "nonce": str(borrow.nonce),
        "signature": "0x" + signature.hex(),
        "domain": data["domain"],
        "message": data["message"],
        "digest": "0x" + digest_of(signable(data)).hex(),
    }


def typed_data_of(loan: PartnerLoan) -> dict[str, Any]:
    """The typed data that the user signed for the loan; `ValueError` where it was drawn without a consent."""
    kept = _kept(loan)
    version = kept.get("version", V1)
    made = message(_borrow_of(loan, kept), version)
    return assembled(domain=kept.get("domain") or domain(version), message=kept.get("message", made))


def digest_for(loan: PartnerLoan) -> str:
    """The 32 bytes (0x-hex) that the user's signature for the loan is over."""
    return "0x" + digest_of(signable(typed_data_of(loan))).hex()


def problems_with(loan: PartnerLoan) -> list[str]:
    """Why the loan's proof does not hold, none where it does: each field of the message against the loan as it was
    drawn, the digest, the signature. A contract wallet is asked as it is now; raises `ChainUnavailable` where it cannot
    be, and `ValueError` where the loan was drawn without a consent.
    """
    kept, data = _kept(loan), typed_data_of(loan)
    drawn = message(_borrow_of(loan, kept), data["domain"]["version"])
    problems = [f"{name} is not the loan's" for name, value in drawn.items() if data["message"].get(name) != value]
    if kept.get("digest", digest_for(loan)) != digest_for(loan):
        problems.append("digest is not the message's")
    signature = bytes.fromhex(kept["signature"].removeprefix("0x"))
    if not is_signed_by(wallet=loan.user_wallet, message=signable(data), signature=signature):
        problems.append("signature is not the wallet's")
    return problems


def _kept(loan: PartnerLoan) -> dict[str, Any]:
    if loan.user_authorization is None:
        raise ValueError(f"Loan {loan.partner_loan_id} was drawn without the user's consent")
    kept: dict[str, Any] = loan.user_authorization
    return kept


def _borrow_of(loan: PartnerLoan, kept: dict[str, Any]) -> Borrow:
    return Borrow(
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
