"""A change of the API that breaks its callers is found, whatever it is, and one that does not is let through."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from partner_platform.core.openapi import document
from tools import openapi_changes
from tools.openapi_changes import breaking_changes, last_committed

Schema = dict[str, Any]
Change = Callable[[Schema], object]
BORROW, LOAN, STATS = "/partners/borrow", "/partners/loan/{partnerLoanId}", "/partners/my/stats"


def borrow(schema: Schema) -> Schema:
    return schema["paths"][BORROW]["post"]


def body(schema: Schema) -> Schema:
    return schema["components"]["schemas"]["BorrowBody"]


def loan(schema: Schema) -> Schema:
    return schema["components"]["schemas"]["Loan"]


def limit(schema: Schema) -> Schema:
    (found,) = (
        p for p in schema["paths"]["/partners/my/transactions"]["get"]["parameters"] if p.get("name") == "limit"
    )
    return found


def errors(schema: Schema, status: str) -> Schema:
    return borrow(schema)["responses"][status]["content"]["application/json"]["schema"]["allOf"][1]["properties"]


def changed(change: Change) -> list[str]:
    old = document.make_document()
    new = copy.deepcopy(old)
    change(new)
    assert new != old
    return breaking_changes(old, new)


def webhook(schema: Schema, kind: str) -> Schema:
    return schema["webhooks"][kind]["post"]


def schema_of(schema: Schema, name: str) -> Schema:
    return schema["components"]["schemas"][name]


BREAKS: dict[str, tuple[Change, str]] = {
    "a webhook is gone": (lambda s: s["webhooks"].pop("loan.cured"), "webhook loan.cured: it is gone"),
    "a webhook's header is gone": (
        lambda s: webhook(s, "loan.repaid")["parameters"].pop(0),
        "webhook loan.repaid: header webhook-id is gone",
    ),
    "a webhook's header may be missing": (
        lambda s: s["components"]["parameters"]["XWebhookSignature"].update(required=False),
        "webhook loan.repaid: header X-Webhook-Signature may be missing now",
    ),
    "a webhook's signature has another form": (
        lambda s: s["components"]["parameters"]["XWebhookSignature"]["schema"].update(pattern="^sha512="),
        (
            "webhook loan.repaid: header X-Webhook-Signature: pattern was "
            "^sha256=[0-9a-f]{64}(,sha256=[0-9a-f]{64})*$ and is ^sha512="
        ),
    ),
    "a webhook's type is called otherwise": (
        lambda s: webhook(s, "loan.repaid")["requestBody"]["content"]["application/json"]["schema"]["allOf"][2][
            "properties"
        ]["type"].update(const="loan.paid"),
        "webhook loan.repaid: body.type may be 'loan.paid'",
    ),
    "a field of every event is gone": (
        lambda s: schema_of(s, "FeedEvent")["properties"].pop("sequence"),
        "webhook loan.repaid: body.sequence is gone",
    ),
    "a field of the plan's webhook may be missing": (
        lambda s: schema_of(s, "LoanEventFields")["required"].remove("totalRepaid"),
        "webhook loan.repaid: body.totalRepaid may be missing now",
    ),
    "a field of a webhook's loan is gone": (
        lambda s: loan(s)["properties"].pop("interestPaid"),
        "webhook loan.repaid: body.data.loan.interestPaid is gone",
    ),
    "a webhook no longer names its instalment": (
        lambda s: schema_of(s, "InstalmentEventData")["properties"].pop("installment"),
        "webhook payment.missed: body.data.installment is gone",
    ),
    "a path is gone": (lambda s: s["paths"].pop(BORROW), f"{BORROW}: the path is gone"),
    "an operation is gone": (lambda s: s["paths"][STATS].pop("get"), f"GET {STATS}: the operation is gone"),
    "an operation is called otherwise": (
        lambda s: borrow(s).update(operationId="lend"),
        f"POST {BORROW}: its id was borrow and is lend",
    ),
    "a status is gone": (lambda s: borrow(s)["responses"].pop("202"), f"POST {BORROW}: answer 202 is gone"),
    "an error's status is gone": (lambda s: borrow(s)["responses"].pop("409"), f"POST {BORROW}: answer 409 is gone"),
    "another success": (
        lambda s: borrow(s)["responses"].update({"204": {"description": ""}}),
        f"POST {BORROW}: answer 204 is new, and no error",
    ),
    "a form of an answer is gone": (
        lambda s: s["paths"]["/partners/my/transactions"]["get"]["responses"]["200"]["content"].pop("text/csv"),
        "GET /partners/my/transactions: answer 200: text/csv is gone",
    ),
    "a key where there was none": (
        lambda s: s["paths"]["/openapi.json"]["get"].update(security=[{"apiKey": []}]),
        "GET /openapi.json: nothing no longer lets a caller in",
    ),
    "only signed calls": (
        lambda s: borrow(s)["security"].pop(0),
        f"POST {BORROW}: apiKey no longer lets a caller in",
    ),
    "a parameter is gone": (
        lambda s: s["paths"]["/partners/my/transactions"]["get"]["parameters"].remove(limit(s)),
        "GET /partners/my/transactions: query parameter limit is gone",
    ),
    "a parameter is required": (
        lambda s: limit(s).update(required=True),
        "GET /partners/my/transactions: query parameter limit is required now",
    ),
    "a new required parameter": (
        lambda s: borrow(s)["parameters"].append({"in": "query", "name": "x", "required": True, "schema": {}}),
        f"POST {BORROW}: query parameter x is new and required",
    ),
    "a parameter's range": (
        lambda s: limit(s)["schema"].update(maximum=50),
        "GET /partners/my/transactions: query parameter limit: maximum was 100 and is 50",
    ),
    "a shared header's length": (
        lambda s: s["components"]["parameters"]["IdempotencyKey"]["schema"].update(maxLength=64),
        f"POST {BORROW}: header parameter Idempotency-Key: maxLength was 255 and is 64",
    ),
    "a body is required": (
        lambda s: s["paths"][LOAN]["get"].update(requestBody={"required": True}),
        f"GET {LOAN}: a body is required now",
    ),
    "a body's field is gone": (
        lambda s: body(s)["properties"].pop("metadata"),
        f"POST {BORROW}: body.metadata is gone",
    ),
    "a body's field is required": (
        lambda s: body(s)["required"].append("metadata"),
        f"POST {BORROW}: body.metadata is required now",
    ),
    "a new required field": (
        lambda s: (body(s)["properties"].update(why={}), body(s)["required"].append("why")),
        f"POST {BORROW}: body.why is required now",
    ),
    "a body's field takes no null": (
        lambda s: body(s)["properties"]["loanDuration"].update(type="integer"),
        f"POST {BORROW}: body.loanDuration no longer takes null",
    ),
    "a body's object is gone": (
        lambda s: body(s)["properties"]["userAuthorization"]["oneOf"].pop(0),
        f"POST {BORROW}: body.userAuthorization: an alternative is gone or changed",
    ),
    "a field of a body's object": (
        lambda s: s["components"]["schemas"]["UserAuthorizationBody"]["properties"].pop("nonce"),
        f"POST {BORROW}: body.userAuthorization: an alternative is gone or changed",
    ),
    "a body's pattern": (
        lambda s: body(s)["properties"]["partnerLoanId"].update(pattern="^[a-z]+$"),
        f"POST {BORROW}: body.partnerLoanId: pattern was ^[A-Za-z0-9_-]+$ and is ^[a-z]+$",
    ),
    "other fields are refused": (
        lambda s: body(s)["properties"]["metadata"].update(additionalProperties=False),
        f"POST {BORROW}: body.metadata refuses other fields now",
    ),
    "an answer's field is gone": (
        lambda s: loan(s)["properties"].pop("status"),
        f"GET {LOAN}: answer 200.status is gone",
    ),
    "an answer's field may be missing": (
        lambda s: loan(s)["required"].remove("status"),
        f"GET {LOAN}: answer 200.status may be missing now",
    ),
    "an answer's field may be null": (
        lambda s: loan(s)["properties"]["totalRepaid"].update(type=["string", "null"]),
        f"GET {LOAN}: answer 200.totalRepaid may be null",
    ),
    "an answer's field has another type": (
        lambda s: loan(s)["properties"]["totalRepaid"].update(type="integer"),
        f"GET {LOAN}: answer 200.totalRepaid may be integer",
    ),
    "an answer's field has another value": (
        lambda s: loan(s)["properties"]["status"]["enum"].append("SOLD"),
        f"GET {LOAN}: answer 200.status may be 'SOLD'",
    ),
    "an answer's field has any value": (
        lambda s: loan(s)["properties"]["totalRepaid"].pop("pattern"),
        f"GET {LOAN}: answer 200.totalRepaid: pattern was ^(?:0|[1-9][0-9]*)$ and is None",
    ),
    "a row of a list": (
        lambda s: s["components"]["schemas"]["HistoryRow"]["properties"].pop("txHash"),
        f"GET {LOAN}: answer 200.repaymentHistory[].txHash is gone",
    ),
    "a header is gone": (
        lambda s: borrow(s)["responses"]["202"]["headers"].pop("Location"),
        f"POST {BORROW}: answer 202: header Location is gone",
    ),
    "a header may be missing": (
        lambda s: s["components"]["headers"]["Location"].pop("required"),
        f"POST {BORROW}: answer 202: header Location may be missing now",
    ),
    "a field of every error": (
        lambda s: s["components"]["schemas"]["Error"]["properties"].pop("retryable"),
        f"GET {STATS}: answer 401.retryable is gone",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_break_is_found(what: str) -> None:
    change, sentence = BREAKS[what]

    assert sentence in changed(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["paths"].update({"/partners/new": {"get": {"operationId": "new", "responses": {}}}}),
        lambda s: s["paths"][STATS].update(post={"operationId": "post", "responses": {}}),
        lambda s: body(s)["properties"].update(note={"type": "string"}),
        lambda s: body(s)["required"].remove("userWallet"),
        lambda s: body(s)["properties"]["borrowAmount"].pop("pattern"),
        lambda s: loan(s)["properties"].update(note={"type": "string"}),
        lambda s: loan(s)["properties"]["status"]["enum"].remove("LIQUIDATED"),
        lambda s: loan(s)["properties"]["borrowedAt"].update(type="string"),
        lambda s: limit(s)["schema"].update(maximum=500),
        lambda s: borrow(s)["parameters"].append({"in": "query", "name": "x", "schema": {}}),
        lambda s: borrow(s)["responses"].update({"451": {"description": "", "content": {}}}),
        lambda s: errors(s, "409")["code"]["enum"].append("other_code"),
        lambda s: borrow(s).update(summary="Other words"),
        lambda s: s["webhooks"].update({"loan.sold": s["webhooks"]["loan.repaid"]}),
        lambda s: schema_of(s, "RepaymentEventData")["properties"].update(note={"type": "string"}),
        lambda s: webhook(s, "loan.repaid")["parameters"].append({"in": "header", "name": "X-More", "schema": {}}),
    ],
)
def test_more_for_callers_is_no_break(change: Change) -> None:
    assert changed(change) == []


def test_a_break_is_allowed_where_the_major_version_rises() -> None:
    assert changed(lambda s: (s["paths"].pop(BORROW), s["info"].update(version="2.0.0"))) == []
    assert changed(lambda s: (s["paths"].pop(BORROW), s["info"].update(version="1.9.0"))) != []


def test_a_break_that_was_decided_on_is_passed_over_and_no_other_one() -> None:
    old, new = document.make_document(), document.make_document()
    (sentence,) = openapi_changes.AGREED
    old["components"]["headers"]["LocationOfRepayment"]["schema"]["pattern"] = re.findall(r"was (\S+) and", sentence)[0]
    assert breaking_changes(old, new) == []
    old["components"]["headers"]["LocationOfRepayment"]["schema"]["pattern"] = "^/elsewhere$"
    assert len(breaking_changes(old, new)) == 1


@pytest.mark.skipif(not (openapi_changes.PROJECT / ".git").exists(), reason="the history is not here")
def test_the_code_breaks_nothing_that_was_committed() -> None:
    new = document.make_document()

    assert [sentence for old in last_committed() for sentence in breaking_changes(old, new)] == []


def test_the_command_names_each_break_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = document.make_document(), document.make_document()
    new["paths"].pop(STATS)
    files = [tmp_path / "old.json", tmp_path / "new.json"]
    for file, schema in zip(files, (old, new), strict=True):
        file.write_text(json.dumps(schema))

    assert openapi_changes.main([str(file) for file in files]) == 1
    assert capsys.readouterr().out == f"{STATS}: the path is gone\n"
    assert openapi_changes.main([str(files[0]), str(files[0])]) == 0
