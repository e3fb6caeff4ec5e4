"""What users answer when they are asked to sign a borrow."""

import time
from typing import Any

from eth_account import Account

from loans.consent import verification
from loans.consent.message import V2, AgreedBorrow, borrow_from, typed_message
from loans.services.borrow import BorrowRequest
from partners.models import Partner


def authorization_for(
    partner: Partner, body: dict[str, Any], private_key: str, *, version: str = V2, nonce: int = 7
) -> dict[str, Any]:
    """The `userAuthorization` of a borrow's body, on the partner's present terms, for ten minutes."""
    asked = BorrowRequest(
        oaid_token_id=body["oaidTokenId"],
        user_wallet=body["userWallet"],
        borrow_amount=int(body["borrowAmount"]),
        partner_loan_id=body["partnerLoanId"],
        loan_duration=body.get("loanDuration"),
        number_of_installments=body.get("numberOfInstallments"),
    )
    borrow = borrow_from(partner, asked, nonce=nonce, deadline=int(time.time()) + 600)
    return sign(borrow, private_key, version)


def sign(borrow: AgreedBorrow, private_key: str, version: str = V2) -> dict[str, Any]:
    """The `userAuthorization` of a user with a key of its own."""
    signed = Account.sign_message(typed_message(borrow, version).signable, private_key)
    return {**verification.unsigned(borrow, version), "signature": "0x" + signed.signature.hex()}
