"""Consent in version 2: each of its fields decides, terms that changed are named, and nobody is talked down to less."""

import json
import time
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError
from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak

from chain.lending.signatures import digest_of
from chain.models import Operation
from loans.consent import evidence, verification
from loans.consent.message import V1, V2, AgreedBorrow, borrow_from, typed_message
from loans.models import PartnerLoan
from loans.services.borrow import BorrowRequest
from partners.services import update_partner
from sandbox.keys import key_pair
from tests.factories import DOLLAR
from tests.support.acting import staff
from tests.support.commands import type_command
from tests.support.consent import sign
from tests.support.wallets import smart_wallet_user

pytestmark = pytest.mark.django_db(transaction=True)
MONTH, PARTS = 30 * 86_400, 3
OTHER_ADDRESS = key_pair("another settlement address").address


@pytest.fixture(autouse=True)
def as_live(settings):
    settings.BORROW_CONSENT = "required"
    settings.BORROW_CONSENT_VERSIONS = ["2"]


def body_of(user, loan_id="loan-1", **more):
    return {
        "oaidTokenId": user.oaid_token_id,
        "userWallet": user.wallet,
        "borrowAmount": str(100 * DOLLAR),
        "partnerLoanId": loan_id,
        "loanDuration": MONTH,
        "numberOfInstallments": PARTS,
        **more,
    }


def plain_body_of(user):
    """Without a due date."""
    return {name: body_of(user)[name] for name in ("oaidTokenId", "userWallet", "borrowAmount", "partnerLoanId")}


def kept(loan):
    assert loan.user_authorization is not None
    return loan.user_authorization


def agreed_to(lender, user):
    asked = BorrowRequest(
        oaid_token_id=user.oaid_token_id,
        user_wallet=user.wallet,
        borrow_amount=100 * DOLLAR,
        partner_loan_id="loan-1",
        loan_duration=MONTH,
        number_of_installments=PARTS,
    )
    return borrow_from(lender.partner, asked, nonce=7, deadline=int(time.time()) + 600)


def bare(authorization):
    """Without the message: the platform then knows the signature only."""
    return {name: authorization[name] for name in ("deadline", "nonce", "signature")}


def borrow(lender, user, authorization, **more):
    return lender.post("/partners/borrow", body_of(user, userAuthorization=authorization, **more))


def refusal(answer):
    told = answer.json()
    assert not Operation.objects.exists()
    assert not PartnerLoan.objects.exists()
    return answer.status_code, told["code"], told["details"]


CHANGES: dict[str, dict[str, Any]] = {
    "partner": {"partner_id": "partner_other_001"},
    "oaidTokenId": {"oaid_token_id": 999},
    "amount": {"amount": 99 * DOLLAR},
    "partnerLoanId": {"partner_loan_id": "loan-2"},
    "loanDuration": {"loan_duration": MONTH + 1},
    "numberOfInstallments": {"number_of_installments": 2},
    "platformFee": {"platform_fee": 499_999},
    "settlementAddress": {"settlement_address": OTHER_ADDRESS},
    "nonce": {"nonce": 8},
    "deadline": {"deadline": 2**40},
}


def test_every_field_of_the_message_has_its_case(chain, lender):
    assert list(typed_message(agreed_to(lender, chain.users[0]), V2).fields) == list(CHANGES)


@pytest.mark.parametrize("field", CHANGES)
def test_a_signature_over_another_value_of_one_field_is_refused_and_names_the_field(chain, lender, field):
    user, made = chain.users[0], agreed_to(lender, chain.users[0])
    signed = sign(replace(made, **CHANGES[field]), user.private_key)
    as_asked = {**signed, "deadline": made.deadline, "nonce": str(made.nonce)}
    due = typed_message(made, V2).fields[field]

    answer = borrow(lender, user, as_asked)

    assert refusal(answer) == (403, "consent_invalid", {field: [f"This borrow has {due}."]})
    assert answer.json()["message"] == f"The user signed another borrow; what differs: {field}"
    # The same signature with a message that says what the platform would do: it is the signature that counts.
    lied = {**as_asked, "message": verification.unsigned(made, V2)["message"]}
    assert refusal(borrow(lender, user, lied))[2]["signature"] == ["Is not the wallet's over `message`."]
    # And with none: the answer has what would have to be signed.
    told = refusal(borrow(lender, user, bare(as_asked)))
    assert told[:2] == (403, "consent_invalid")
    assert told[2]["message"][field] == due


@pytest.mark.parametrize(
    ("changes", "field", "now"),
    [
        ({"platform_fee_percentage": 75}, "platformFee", "750000"),
        ({"settlement_address": OTHER_ADDRESS}, "settlementAddress", OTHER_ADDRESS),
    ],
)
def test_terms_that_staff_changed_since_the_signature_are_named(chain, lender, changes, field, now):
    user = chain.users[0]
    typed = lender.post("/partners/borrow/typed-data", body_of(user)).json()
    authorization = as_a_wallet_signs(typed, user.private_key)
    update_partner(partner=lender.partner, actor=staff("anna"), **changes)

    assert refusal(borrow(lender, user, authorization)) == (
        403,
        "consent_invalid",
        {field: [f"This borrow has {now}."]},
    )

    again = lender.post("/partners/borrow/typed-data", body_of(user)).json()
    assert borrow(lender, user, as_a_wallet_signs(again, user.private_key)).status_code == 202


@pytest.mark.parametrize(
    ("asked", "field", "value"),
    [({"loanDuration": 3}, "loanDuration", "3"), ({"numberOfInstallments": 1}, "numberOfInstallments", "1")],
)
def test_the_partner_cannot_fill_in_other_terms_than_the_user_signed(chain, lender, asked, field, value):
    user = chain.users[0]
    typed = lender.post("/partners/borrow/typed-data", body_of(user)).json()
    authorization = as_a_wallet_signs(typed, user.private_key)
    for given in (authorization, bare(authorization)):
        told = refusal(borrow(lender, user, given, **asked))
        assert told[:2] == (403, "consent_invalid")
        assert value in str(told[2][field] if field in told[2] else told[2]["message"][field])


def as_a_wallet_signs(typed, key):
    """From what came over JSON, and by no code of the platform's."""
    signature = Account.sign_message(encode_typed_data(full_message=typed["typedData"]), key).signature
    return {**typed["userAuthorization"], "signature": "0x" + signature.hex()}


def test_the_typed_data_of_the_endpoint_is_what_the_user_signs_and_the_borrow_then_takes(chain, lender, settle):
    user = chain.users[0]
    typed = lender.post("/partners/borrow/typed-data", body_of(user)).json()
    message, authorization = typed["typedData"]["message"], typed["userAuthorization"]
    assert message == {
        "partner": lender.partner.partner_id,
        "oaidTokenId": str(user.oaid_token_id),
        "amount": "100000000",
        "partnerLoanId": "loan-1",
        "loanDuration": "2592000",
        "numberOfInstallments": "3",
        "platformFee": "500000",
        "settlementAddress": lender.partner.settlement_address,
        "nonce": authorization["nonce"],
        "deadline": str(authorization["deadline"]),
    }
    assert authorization["message"] == message
    assert authorization["version"] == typed["typedData"]["domain"]["version"] == "2"
    assert typed["typedData"]["domain"]["chainId"] == 5003
    assert typed["typedData"]["domain"]["verifyingContract"] == chain.addresses["executor"]
    assert 0 < authorization["deadline"] - time.time() <= 1_800

    assert borrow(lender, user, as_a_wallet_signs(typed, user.private_key)).status_code == 202
    settle()

    loan = PartnerLoan.objects.get()
    assert loan.status == "ACTIVE"
    assert (loan.platform_fee_charged, loan.loan_duration, len(loan.schedule)) == (500_000, MONTH, 3)


def test_without_a_due_date_the_user_signs_zero_and_no_other_request_goes_with_it(chain, lender):
    user = chain.users[0]
    body = {
        name: value for name, value in body_of(user).items() if name not in ("loanDuration", "numberOfInstallments")
    }
    typed = lender.post("/partners/borrow/typed-data", body).json()
    assert typed["typedData"]["message"]["loanDuration"] == "0"
    assert typed["typedData"]["message"]["numberOfInstallments"] == "0"
    authorization = as_a_wallet_signs(typed, user.private_key)

    with_due_date = lender.post("/partners/borrow", {**body, "loanDuration": 1, "userAuthorization": authorization})

    assert refusal(with_due_date) == (403, "consent_invalid", {"loanDuration": ["This borrow has 1."]})
    assert lender.post("/partners/borrow", {**body, "userAuthorization": authorization}).status_code == 202


def test_where_only_version_2_counts_nobody_is_talked_down_to_version_1(chain, lender):
    user = chain.users[0]
    old = sign(agreed_to(lender, user), user.private_key, V1)
    refused = (403, "consent_invalid", {"version": ["Must be 2."]})

    assert refusal(borrow(lender, user, old)) == refused  # it says what it is
    assert refusal(borrow(lender, user, bare(old))) == refused  # it does not
    assert refusal(borrow(lender, user, {**bare(old), "version": "2"})) == refused  # it lies
    typed = lender.post("/partners/borrow/typed-data", {**body_of(user), "version": "1"})
    assert (typed.status_code, typed.json()["details"]) == (400, {"version": ["Must be 2."]})


def test_where_only_version_1_counts_version_2_is_refused_by_name(chain, lender, settings):
    settings.BORROW_CONSENT_VERSIONS = ["1"]
    user = chain.users[0]
    new = sign(agreed_to(lender, user), user.private_key)
    assert refusal(borrow(lender, user, new)) == (403, "consent_invalid", {"version": ["Must be 1."]})
    assert refusal(borrow(lender, user, bare(new))) == (403, "consent_invalid", {"version": ["Must be 1."]})


def test_where_both_count_each_is_taken_for_what_it_is(chain, lender, settings):
    settings.BORROW_CONSENT_VERSIONS = ["1", "2"]
    user, made = chain.users[0], agreed_to(lender, chain.users[0])
    for number, version in enumerate((V1, V2)):
        loan_id = f"loan-{version}"
        agreed = replace(made, partner_loan_id=loan_id, nonce=number)
        authorization = bare(sign(agreed, user.private_key, version))
        assert borrow(lender, user, authorization, partnerLoanId=loan_id).status_code == 202
        assert kept(PartnerLoan.objects.get(partner_loan_id=loan_id))["version"] == version
    assert lender.post("/partners/borrow/typed-data", body_of(user)).json()["userAuthorization"]["version"] == "2"
    older = lender.post("/partners/borrow/typed-data", {**plain_body_of(user), "version": "1"}).json()
    assert older["typedData"]["domain"]["version"] == "1"
    assert list(older["userAuthorization"]) == ["version", "deadline", "nonce"]
    uncovered = lender.post("/partners/borrow/typed-data", {**body_of(user), "version": "1"})
    assert uncovered.status_code == 400
    assert list(uncovered.json()["details"]) == ["loanDuration", "numberOfInstallments"]


def test_a_contract_wallet_consents_to_version_2_by_erc_1271(chain, lender):
    owner, stranger = key_pair("smart-wallet-owner"), key_pair("stranger")
    user = smart_wallet_user(chain, owner)
    made = agreed_to(lender, user)

    refused = borrow(lender, user, sign(made, stranger.private_key))
    accepted = borrow(lender, user, sign(made, owner.private_key))

    assert (refused.status_code, refused.json()["code"]) == (403, "consent_invalid")
    assert accepted.status_code == 202
    assert evidence.problems_with(PartnerLoan.objects.get()) == []


def test_the_proof_holds_whatever_changes_later_and_not_for_another_loan(chain, lender, settings):
    user = chain.users[0]
    made = agreed_to(lender, user)
    assert borrow(lender, user, sign(made, user.private_key)).status_code == 202
    signed = typed_message(made, V2)
    update_partner(partner=lender.partner, actor=staff("anna"), platform_fee_percentage=75)
    update_partner(partner=lender.partner, actor=staff("anna"), settlement_address=OTHER_ADDRESS)
    settings.CHAIN_ID, settings.PLATFORM_EXECUTOR_ADDRESS = 1, OTHER_ADDRESS

    loan = PartnerLoan.objects.get()
    assert kept(loan)["digest"] == "0x" + digest_of(signed.signable).hex()
    assert evidence.message_of(loan) == signed
    assert evidence.problems_with(loan) == []

    loan.platform_fee_charged += 1
    loan.settlement_address = OTHER_ADDRESS
    assert evidence.problems_with(loan) == ["platformFee is not the loan's", "settlementAddress is not the loan's"]
    loan = PartnerLoan.objects.get()
    kept(loan)["digest"] = "0x" + "00" * 32
    loan.user_wallet = chain.users[1].wallet
    assert evidence.problems_with(loan) == ["digest is not the message's", "signature is not the wallet's"]


def test_a_proof_of_before_versions_were_kept_is_still_one(chain, lender, settings):
    settings.BORROW_CONSENT_VERSIONS = ["1", "2"]
    user, made = chain.users[0], agreed_to(lender, chain.users[0])
    assert borrow(lender, user, sign(made, user.private_key, V1)).status_code == 202
    loan = PartnerLoan.objects.get()
    loan.user_authorization = bare(kept(loan))

    assert evidence.message_of(loan) == typed_message(made, V1)
    assert evidence.problems_with(loan) == []
    loan.principal_amount += 1
    assert evidence.problems_with(loan) == ["signature is not the wallet's"]


def test_operators_are_shown_the_proof_of_a_loan_and_told_where_it_does_not_hold(chain, lender):
    user, out = chain.users[0], StringIO()
    made = agreed_to(lender, user)
    assert borrow(lender, user, sign(made, user.private_key)).status_code == 202

    type_command("prove_consent", lender.partner.partner_id, "loan-1", stdout=out)

    shown, _, verdict = out.getvalue().rpartition("}\n")
    assert json.loads(shown + "}") == {
        "wallet": user.wallet,
        "signature": kept(PartnerLoan.objects.get())["signature"],
        "digest": kept(PartnerLoan.objects.get())["digest"],
        "typedData": typed_message(made, V2).data,
    }
    assert verdict == "The wallet signed this, and it is the loan that was drawn.\n"
    PartnerLoan.objects.update(platform_fee_charged=1)
    with pytest.raises(CommandError, match=r"^The proof does not hold: platformFee is not the loan's$"):
        type_command("prove_consent", lender.partner.partner_id, "loan-1", stdout=out)
    with pytest.raises(CommandError, match="Loan not found"):
        type_command("prove_consent", lender.partner.partner_id, "loan-2")


def test_a_loan_without_a_consent_has_no_proof(chain, lender, settings):
    settings.BORROW_CONSENT = "optional"
    user = chain.users[0]
    assert lender.borrow(user, 100).status_code == 202
    with pytest.raises(ValueError, match="without the user's consent"):
        evidence.problems_with(PartnerLoan.objects.get())


@pytest.mark.parametrize("version", [V1, V2])
def test_the_digest_is_the_one_that_eip_712_defines(settings, version):
    """Computed by hand from the words of the standard, so that no library vouches for itself."""
    settings.CHAIN_ID, settings.PLATFORM_EXECUTOR_ADDRESS = 5003, "0x" + "11" * 20
    made = AgreedBorrow(
        partner_id="partner_xyz_001",
        oaid_token_id=2**255,
        amount=5,
        partner_loan_id="L-1",
        loan_duration=86_400,
        number_of_installments=2,
        platform_fee=1,
        settlement_address="0x" + "22" * 20,
        nonce=2**128,
        deadline=99,
    )
    domain_type = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [domain_type, keccak(b"Partner Platform"), keccak(version.encode()), 5003, "0x" + "11" * 20],
        )
    )
    first = b"Borrow(string partner,uint256 oaidTokenId,uint256 amount,string partnerLoanId,"
    more = b"uint256 loanDuration,uint256 numberOfInstallments,uint256 platformFee,address settlementAddress,"
    last = b"uint256 nonce,uint256 deadline)"
    added = [(["uint256"] * 3 + ["address"], [86_400, 2, 1, "0x" + "22" * 20]), ([], [])][version == V1]
    struct = keccak(
        encode(
            ["bytes32", "bytes32", "uint256", "uint256", "bytes32", *added[0], "uint256", "uint256"],
            [
                keccak(first + (more if version == V2 else b"") + last),
                *(keccak(b"partner_xyz_001"), 2**255, 5, keccak(b"L-1"), *added[1], 2**128, 99),
            ],
        )
    )
    message = encode_typed_data(full_message=json.loads(json.dumps(typed_message(made, version).data)))
    assert digest_of(message) == keccak(b"\x19\x01" + domain + struct)
    assert digest_of(message) == digest_of(typed_message(made, version).signable)


def test_acceptance_with_a_consent_takes_no_query_more(chain, lender, django_assert_max_num_queries):
    user, made = chain.users[0], agreed_to(lender, chain.users[0])
    first = replace(made, partner_loan_id="warm-up", nonce=8)
    borrow(lender, user, sign(first, user.private_key), partnerLoanId="warm-up")
    with django_assert_max_num_queries(15):
        assert borrow(lender, user, sign(made, user.private_key)).status_code == 202
