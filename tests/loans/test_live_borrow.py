"""A live borrow exactly as the integration plan writes it: refused by default, taken where the platform says so."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loans.models import PartnerLoan
from tests.support.live import LIVE

PROJECT = Path(__file__).resolve().parents[2]
FIRST_PAGE = (PROJECT / "docs" / "api.md").read_text()


def read_settings(**environment: str) -> list[str]:
    program = "from partner_platform import settings as s; print(s.BORROW_CONSENT, *s.BORROW_CONSENT_VERSIONS)"
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return (process.stdout or process.stderr.splitlines()[-1]).split()


def test_live_consent_of_version_2_is_required_by_default_and_sandbox_takes_both_or_none() -> None:
    assert read_settings(**LIVE) == ["required", "2"]
    assert read_settings(**{**LIVE, "PLATFORM_ENVIRONMENT": "sandbox"}) == ["optional", "1", "2"]
    assert read_settings(**LIVE, BORROW_CONSENT="optional", BORROW_CONSENT_VERSIONS="1,2") == ["optional", "1", "2"]
    for wrong in ("", "3", "2,x"):
        assert "BORROW_CONSENT_VERSIONS must be 1, 2 or both" in " ".join(
            read_settings(**LIVE, BORROW_CONSENT_VERSIONS=wrong)
        )
    assert "BORROW_CONSENT must be required or optional" in " ".join(read_settings(**LIVE, BORROW_CONSENT="off"))


@pytest.mark.django_db(transaction=True)
def test_the_request_that_the_guide_shows_first_is_taken_live_where_consent_is_optional(
    chain, make_client, settings
) -> None:
    settings.PLATFORM_ENVIRONMENT, settings.IS_SANDBOX = "live", False
    settings.BORROW_CONSENT, settings.BORROW_CONSENT_VERSIONS = "required", ["2"]
    lender, user = make_client(), chain.users[0]
    (shown,) = re.findall(r"```json\n(.*?)```", FIRST_PAGE.split("## Conventions")[0], re.DOTALL)
    body = {**json.loads(shown), "oaidTokenId": user.oaid_token_id, "userWallet": user.wallet}
    assert sorted(body) == ["borrowAmount", "metadata", "oaidTokenId", "partnerLoanId", "userWallet"]

    refused = lender.post("/partners/borrow", body)
    assert (refused.status_code, refused.json()["code"]) == (403, "consent_required")
    assert not PartnerLoan.objects.exists()

    settings.BORROW_CONSENT = "optional"
    assert lender.post("/partners/borrow", body).status_code == 202
    assert PartnerLoan.objects.get().user_authorization is None


def test_the_difference_to_the_plan_stands_first_in_the_guide() -> None:
    _, first, *_ = [part for part in FIRST_PAGE.split("\n\n") if part.strip()]
    assert first.startswith("**First of all: a live borrow carries the user's signature.**")
    assert "`BORROW_CONSENT`" in FIRST_PAGE.split("For the engineers of a partner")[0]
