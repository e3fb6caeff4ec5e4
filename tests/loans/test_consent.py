"""The user's consent in version 1: what must be signed, by whom, how often, and what contract wallets say."""

import time
from dataclasses import replace

import pytest

from chain.models import Operation
from loans.consent import evidence
from loans.consent.message import V1, AgreedBorrow
from loans.models import PartnerLoan
from sandbox.keys import key_pair
from tests.factories import DOLLAR
from tests.support.consent import sign
from tests.support.wallets import smart_wallet_user

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def consent_is_required(settings):
    settings.BORROW_CONSENT = "required"
    settings.BORROW_CONSENT_VERSIONS = ["1", "2"]


def the_borrow(lender, user, dollars=100, loan_id="loan-1", **changes):
    agreed = AgreedBorrow(
        partner_id=lender.partner.partner_id,
        oaid_token_id=user.oaid_token_id,
        amount=dollars * DOLLAR,
        partner_loan_id=loan_id,
        loan_duration=0,
        number_of_installments=0,
        platform_fee=dollars * DOLLAR * 50 // 10_000,
        settlement_address=lender.partner.settlement_address,
        nonce=7,
        deadline=int(time.time()) + 600,
    )
    return replace(agreed, **changes)


def signed(borrow, key):
    """Of version 1, as callers send it who know of no other."""
    authorization = sign(borrow, key, V1)
    return {name: authorization[name] for name in ("deadline", "nonce", "signature")}


def code(answer):
    return answer.status_code, answer.json().get("code", "")


def test_a_borrow_the_user_signed_is_accepted_and_the_proof_is_kept_with_the_loan(chain, lender, settle):
    user = chain.users[0]
    authorization = signed(the_borrow(lender, user), user.private_key)

    answer = lender.borrow(user, 100, userAuthorization=authorization)
    settle()

    assert answer.status_code == 202
    loan = PartnerLoan.objects.get()
    assert loan.status == "ACTIVE"
    kept = loan.user_authorization or {}
    assert {name: kept[name] for name in authorization} == authorization
    assert kept["version"] == "1"
    assert evidence.problems_with(loan) == []
    assert loan.consent_nonce == 7


def test_without_a_signature_it_is_refused_where_required_and_accepted_where_optional(chain, lender, settings):
    user = chain.users[0]
    refused = lender.borrow(user, 100)
    assert code(refused) == (403, "consent_required")
    assert not Operation.objects.exists()

    settings.BORROW_CONSENT = "optional"

    assert lender.borrow(user, 100).status_code == 202
    assert PartnerLoan.objects.get().consent_nonce is None
    wrong = signed(the_borrow(lender, user, loan_id="loan-2"), chain.users[1].private_key)
    assert code(lender.borrow(user, 100, "loan-2", userAuthorization=wrong)) == (403, "consent_invalid")


@pytest.mark.parametrize(
    "changes",
    [
        {"partner_id": "partner_other_001"},
        {"oaid_token_id": 999},
        {"amount": 99 * DOLLAR},
        {"partner_loan_id": "loan-2"},
        {"nonce": 8},
        {"deadline": int(time.time()) + 6_000},
    ],
)
def test_a_signature_over_anything_else_is_no_consent(chain, lender, changes):
    user, agreed = chain.users[0], the_borrow(lender, chain.users[0])
    other = signed(replace(agreed, **changes), user.private_key)
    authorization = {**signed(agreed, user.private_key), "signature": other["signature"]}

    assert code(lender.borrow(user, 100, userAuthorization=authorization)) == (403, "consent_invalid")
    assert not PartnerLoan.objects.exists()


def test_a_signature_for_another_chain_or_another_deployment_is_no_consent(chain, lender, settings):
    user, agreed = chain.users[0], the_borrow(lender, chain.users[0])
    here = settings.CHAIN_ID, settings.PLATFORM_EXECUTOR_ADDRESS
    for elsewhere in ((1, here[1]), (here[0], settings.USDC_ADDRESS)):
        settings.CHAIN_ID, settings.PLATFORM_EXECUTOR_ADDRESS = elsewhere
        authorization = signed(agreed, user.private_key)
        settings.CHAIN_ID, settings.PLATFORM_EXECUTOR_ADDRESS = here
        assert code(lender.borrow(user, 100, userAuthorization=authorization)) == (403, "consent_invalid")


def test_somebody_elses_signature_is_no_consent_and_a_partners_neither(chain, lender):
    user = chain.users[0]
    for key in (chain.users[1].private_key, chain.world.partners[0].settlement_private_key):
        authorization = signed(the_borrow(lender, user), key)
        assert code(lender.borrow(user, 100, userAuthorization=authorization)) == (403, "consent_invalid")


def test_an_expired_consent_is_refused(chain, lender):
    user = chain.users[0]
    authorization = signed(the_borrow(lender, user, deadline=int(time.time()) - 1), user.private_key)
    assert code(lender.borrow(user, 100, userAuthorization=authorization)) == (403, "consent_expired")


def test_a_nonce_serves_one_loan_even_one_that_failed_and_whoever_borrows(chain, make_client, settle):
    first, second = make_client(0), make_client(1)
    user = chain.users[0]
    authorization = signed(the_borrow(first, user), user.private_key)
    assert first.borrow(user, 100, userAuthorization=authorization).status_code == 202

    again = first.borrow(user, 100, userAuthorization=authorization)
    same_nonce = signed(the_borrow(first, user, loan_id="loan-2"), user.private_key)
    another_loan = first.borrow(user, 100, "loan-2", userAuthorization=same_nonce)
    elsewhere = second.borrow(user, 100, userAuthorization=signed(the_borrow(second, user), user.private_key))

    assert code(again) == (409, "duplicate_loan_id")
    assert code(another_loan) == (409, "consent_used")
    assert code(elsewhere) == (409, "consent_used")
    assert PartnerLoan.objects.count() == 1
    first.partner.refresh_from_db()
    assert first.partner.current_outstanding == 100 * DOLLAR
    # Another user's nonces are their own.
    other = signed(the_borrow(second, chain.users[1], loan_id="loan-3"), chain.users[1].private_key)
    assert second.borrow(chain.users[1], 100, "loan-3", userAuthorization=other).status_code == 202


def test_a_borrow_that_was_refused_leaves_its_consent_unused(chain, lender):
    user = chain.users[0]
    too_much = signed(the_borrow(lender, user, 20_000), user.private_key)
    assert code(lender.borrow(user, 20_000, userAuthorization=too_much)) == (400, "insufficient_credit")
    authorization = signed(the_borrow(lender, user), user.private_key)
    assert lender.borrow(user, 100, userAuthorization=authorization).status_code == 202


def test_a_contract_wallet_consents_by_erc_1271(chain, lender, settle):
    owner, stranger = key_pair("smart-wallet-owner"), key_pair("stranger")
    user = smart_wallet_user(chain, owner)
    agreed = the_borrow(lender, user)

    refused = lender.borrow(user, 100, userAuthorization=signed(agreed, stranger.private_key))
    garbage = lender.borrow(user, 100, userAuthorization={**signed(agreed, owner.private_key), "signature": "0x12"})
    accepted = lender.borrow(user, 100, userAuthorization=signed(agreed, owner.private_key))
    settle()

    assert code(refused) == (403, "consent_invalid")
    assert code(garbage) == (403, "consent_invalid")
    assert accepted.status_code == 202
    assert lender.loan()["status"] == "ACTIVE"


def test_a_contract_that_cannot_be_asked_consents_to_nothing(chain, lender):
    """The vault has code and no isValidSignature: it reverts."""
    user = chain.users[0]
    authorization = signed(the_borrow(lender, user), user.private_key)
    vault = chain.addresses["solvencyVault"]
    assert code(lender.borrow(user, 100, userWallet=vault, userAuthorization=authorization)) == (403, "consent_invalid")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deadline", "1"),
        ("deadline", -1),
        ("nonce", 7),
        ("nonce", "07"),
        ("nonce", str(2**256)),
        ("signature", "12"),
        ("signature", "0x123"),
        ("signature", "0x"),
        ("signature", "0x" + "00" * 4097),
        ("version", "3"),
        ("version", 1),
        ("message", {}),
        ("surprise", 1),
    ],
)
def test_a_malformed_authorization_is_400_by_field(chain, lender, field, value):
    user = chain.users[0]
    authorization = {**signed(the_borrow(lender, user), user.private_key), field: value}
    answer = lender.borrow(user, 100, userAuthorization=authorization)
    assert code(answer) == (400, "invalid_request")
    assert list(answer.json()["details"]["userAuthorization"]) == [field]


def test_a_version_that_there_is_not_is_refused_with_those_that_there_are(chain, lender):
    authorization = {**signed(the_borrow(lender, chain.users[0]), chain.users[0].private_key), "version": "3"}
    answer = lender.borrow(chain.users[0], 100, userAuthorization=authorization)
    assert answer.json()["details"] == {"userAuthorization": {"version": ["Must be one of 1, 2."]}}


def test_acceptance_with_a_consent_takes_no_query_more(chain, lender, django_assert_max_num_queries):
    user = chain.users[0]
    lender.borrow(
        user, 100, "warm-up", userAuthorization=signed(the_borrow(lender, user, 100, "warm-up"), user.private_key)
    )
    authorization = signed(the_borrow(lender, user, nonce=8), user.private_key)
    with django_assert_max_num_queries(15):
        assert lender.borrow(user, 100, userAuthorization=authorization).status_code == 202
