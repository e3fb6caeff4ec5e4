"""Schemathesis on the staff API: no 500, nothing that the schema does not tell of, no valid data refused, no invalid
data accepted. Nothing here needs the chain, so a few examples of each operation cost little.
"""

import copy
import itertools
import os
from collections import Counter
from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from hypothesis import settings

from loans.models import PartnerLoan
from partners.models import Partner, PartnerStatus
from tests.api import fuzzing
from tests.staff.things import move_to_live
from tests.staff.world import StaffWorld

pytestmark = pytest.mark.django_db

# In each run a few examples of each, drawn at random; `make api-check`, which says how many, breaks each constraint.
IS_THOROUGH = "API_EXAMPLES" in os.environ
EXAMPLES = fuzzing.EXAMPLES if IS_THOROUGH else 6
schema = fuzzing.load(is_covered=IS_THOROUGH).include(tag="Staff")
_numbers = itertools.count(0xFEE1 << 128)


def make_sensible(case: Any, world: StaffWorld) -> None:
    """Most valid calls are about what there is, and no two partners have one address."""
    if not fuzzing.is_valid_by_schema(case):
        return
    for name in case.path_parameters:
        case.path_parameters[name] = world.values[name]
    if isinstance(case.body, dict):
        body = case.body = copy.deepcopy(case.body)
        fuzzing.write_integers_as_such(body)
        if "settlementAddress" in body:
            body["settlementAddress"] = to_checksum_address(f"0x{next(_numbers):040x}")
        body.pop("expiresAt", None)  # that a time has passed, no schema can say
        if "beneficialOwners" in body:  # the schema says nothing of blank names
            body["beneficialOwners"] = [{"name": "Mary Major", "country": "DE", "shareBasisPoints": 2500}]
        if case.operation.path.endswith("/advance"):  # which stage may follow depends on where it is
            move_to_live(world.partner)
            body["stage"] = "KYC"
    if "/approvals" in case.operation.path:
        case.query.pop("kind", None)  # any text by the schema; the kinds are those that are registered
    Partner.objects.filter(pk=world.partner.pk).update(status=PartnerStatus.ACTIVE)
    is_cure = case.operation.path.endswith("/cure")
    PartnerLoan.objects.filter(pk=world.loan.pk).update(status="DEFAULTED" if is_cure else "ACTIVE", default_reason="")


@schema.parametrize()
@settings(fuzzing.SETTINGS, max_examples=EXAMPLES)
def test_the_operation_keeps_to_its_schema(case: Any, world: StaffWorld, api_counts: Counter[str]) -> None:
    make_sensible(case, world)
    response = case.call(headers=world.api.headers)
    api_counts["examples tried"] += 1
    case.validate_response(
        response, headers=world.api.headers, additional_checks=[fuzzing.is_refused_for_its_substance]
    )
