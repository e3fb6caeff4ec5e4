"""Bad input: 400 in the envelope with the field named, never 500, and nothing stays behind."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from loans.models import PartnerLoan, Repayment

pytestmark = pytest.mark.django_db(transaction=True)

WALLET = "0x580F5b09765E71D64613c8F4403234f8790DD7D3"
GOOD_BORROW: dict[str, Any] = {
    "oaidTokenId": 1,
    "userWallet": WALLET,
    "borrowAmount": "1000000",
    "partnerLoanId": "loan-1",
}
GOOD_REPAY: dict[str, Any] = {"partnerLoanId": "loan-1", "repaymentAmount": "1000000"}

OPERATORS: list[object] = [{"$gt": ""}, {"$ne": None}, ["x"], [], {}]
NOT_AMOUNTS = [
    None,
    1,
    1.5,
    True,
    "",
    "0",
    "-1",
    "+1",
    "1.5",
    "1e6",
    " 1",
    "1 ",
    "\u0661",
    "9" * 20,
    str(2**63),
    "0x10",
    "1\x00",
    *OPERATORS,
]
NOT_TOKENS = [
    None,
    "",
    "0",
    "01",
    "-1",
    "1.0",
    " 1",
    "\u0661",
    "1\x00",
    0,
    -1,
    1.5,
    True,
    2**256,
    str(2**256),
    *OPERATORS,
]
NOT_WALLETS = [
    None,
    1,
    "",
    "0x",
    WALLET[:-1],
    WALLET + "0",
    WALLET.replace("5", "g"),
    WALLET.replace("F5b", "f5b"),
    WALLET + "\x00",
    *OPERATORS,
]
NOT_LOAN_IDS = [None, 1, "", " ", "a b", "a/b", "é", "x" * 65, "a\n", "a\x00", *OPERATORS]
NOT_METADATA = ["x", 1, ["x"], {"k": "x" * 9000}, {"nul": "a\u0000"}, {"nul\u0000": 1}, {"deep": [{"nul": "\u0000"}]}]
NOT_HASHES = ["", "0x", "0x" + "g" * 64, "ab" * 32, 1, "0x" + "ab" * 32 + "\x00", *OPERATORS]


BORROW_VALUES: dict[str, list[Any]] = {
    "oaidTokenId": NOT_TOKENS,
    "userWallet": NOT_WALLETS,
    "borrowAmount": NOT_AMOUNTS,
    "partnerLoanId": NOT_LOAN_IDS,
    "metadata": NOT_METADATA,
    "surprise": ["x"],
}
REPAY_VALUES: dict[str, list[Any]] = {
    "partnerLoanId": NOT_LOAN_IDS,
    "repaymentAmount": NOT_AMOUNTS,
    "repaymentTxHash": NOT_HASHES,
    "surprise": ["x"],
}


def cases() -> Iterator[tuple[str, dict[str, Any], str, Any]]:
    for path, good, values in (
        ("/partners/borrow", GOOD_BORROW, BORROW_VALUES),
        ("/partners/repay", GOOD_REPAY, REPAY_VALUES),
    ):
        for field, wrong in values.items():
            for value in wrong:
                yield path, good, field, value


def test_every_field_refuses_what_it_must_by_name(chain, make_client):
    lender = make_client(tier="ENTERPRISE")  # more calls than a BASIC partner has in a minute
    wrong = []
    for path, good, field, value in cases():
        answer = lender.post(path, {**good, field: value})
        if (answer.status_code, answer.json()["code"], list(answer.json()["details"])) != (
            400,
            "invalid_request",
            [field],
        ):
            wrong.append((path, field, value, answer.status_code, answer.json()))
    assert wrong == []
    assert not PartnerLoan.objects.exists()
    assert not Repayment.objects.exists()


@pytest.mark.parametrize(
    ("path", "good", "field"),
    [
        *(("/partners/borrow", GOOD_BORROW, field) for field in GOOD_BORROW),
        *(("/partners/repay", GOOD_REPAY, field) for field in GOOD_REPAY),
    ],
)
def test_a_missing_field_is_named(chain, lender, path, good, field):
    answer = lender.post(path, {name: value for name, value in good.items() if name != field})

    assert answer.status_code == 400
    assert answer.json()["details"] == {field: ["This field is required."]}
    assert answer.json()["message"] == f"{field}: This field is required."
    assert answer.json()["errors"] == [{"field": field, "code": "required", "message": "This field is required."}]


def test_each_problem_of_a_body_and_a_query_has_its_path_and_a_code_for_programs(chain, lender):
    authorization = {"deadline": 1, "nonce": "-1", "signature": "0x00", "version": "9"}
    body = {
        **GOOD_BORROW,
        "borrowAmount": "0",
        "surprise": 1,
        "numberOfInstallments": 601,
        "loanDuration": None,
        "userAuthorization": authorization,
        "metadata": {"k": "x" * 9_000},
    }
    told = [
        (problem["field"], problem["code"])
        for answer in (
            lender.post("/partners/borrow", body),
            lender.post("/partners/borrow", {**GOOD_BORROW, "borrowAmount": str(2**63), "numberOfInstallments": 2}),
            lender.post("/partners/borrow", {**GOOD_BORROW, "numberOfInstallments": 2}),
            lender.get("/partners/my/transactions?limt=1&type=x&limit=1&limit=2"),
            lender.get("/partners/my/transactions?type=x&limit=0"),
        )
        for problem in answer.json()["errors"]
    ]

    assert told == [
        ("borrowAmount", "min_value"),
        ("numberOfInstallments", "max_value"),
        ("userAuthorization.version", "invalid_choice"),
        ("userAuthorization.nonce", "invalid"),
        ("metadata", "max_length"),
        ("surprise", "unknown_field"),
        ("borrowAmount", "max_value"),
        ("loanDuration", "required"),
        ("limt", "unknown_field"),
        ("limit", "repeated"),
        ("limit", "min_value"),
        ("type", "invalid_choice"),
    ]
    assert "errors" not in lender.get("/partners/loan/unknown").json()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"oaidTokenId": 1, "oaidTokenId": 2}',
        b'{"metadata": {"half of a character": "\\ud800"}}',
        b'{"partnerLoanId": "\\udc00"}',
        b"[" * 50_000,
    ],
    ids=["empty", "cut", "list", "null", "string", "not-utf8", "nan", "twice", "surrogate", "surrogate-id", "deep"],
)
def test_a_body_that_is_not_a_json_object_is_400_in_the_envelope(chain, lender, body):
    answer = lender.post("/partners/borrow", body)

    assert answer.status_code == 400
    envelope = answer.json()
    assert (envelope["success"], envelope["error"], envelope["code"]) == (False, "Bad Request", "invalid_request")
    assert envelope["requestId"] == answer.headers["X-Request-Id"]


def test_another_content_type_is_415_and_a_large_body_413(chain, lender):
    from django.test import Client

    headers = {"Authorization": f"Bearer {lender.key}"}
    form = Client().post(
        "/partners/borrow", data="a=1", content_type="application/x-www-form-urlencoded", headers=headers
    )
    large = lender.post("/partners/borrow", json.dumps({**GOOD_BORROW, "metadata": {"k": "x" * 70_000}}))

    assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")
    assert (large.status_code, large.json()["code"]) == (413, "payload_too_large")
    assert large.headers["X-Request-Id"] == large.json()["requestId"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/partners/borrow", 405, "method_not_allowed"),
        ("delete", "/partners/loan/loan-1", 405, "method_not_allowed"),
        ("get", "/partners/nothing-here", 404, "not_found"),
        ("get", "/nothing-here", 404, "not_found"),
        ("get", "/partners/user/0x12/loans", 400, "invalid_request"),
        ("get", "/partners/loan/unknown", 404, "loan_not_found"),
    ],
)
def test_wrong_methods_and_paths_answer_in_the_envelope(chain, lender, method, path, status, code):
    from django.test import Client

    answer = getattr(Client(), method)(path, headers={"Authorization": f"Bearer {lender.key}"})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
