"""Chains of calls by the schema's links: borrow, read, quote, repay, close, page by page."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import seed, settings

from tests.api import fuzzing
from tests.api.fuzzing import World

pytestmark = pytest.mark.django_db(transaction=True)

STEPS = 10
# What Hypothesis draws depends on which modules are loaded, too: with 10 examples no loan was read in one run of many.
EXAMPLES = max(fuzzing.EXAMPLES, 30)
# Whatever follows from their answers follows from those of the others too, and with them few chains reach a repayment;
# each is fuzzed by itself (`tests/api/test_fuzz.py`).
LEAD_ELSEWHERE = ["/partners/borrow/preview", "/partners/my/requests", "/partners/platform", "/partners/loans"]


def test_chains_of_calls_keep_to_the_schema_and_reach_the_end_of_a_loan(world: World) -> None:
    schema = fuzzing.load().exclude(tag=["Credentials", "Webhooks", "Staff"]).exclude(path=LEAD_ELSEWHERE)
    reached = run(world, schema)

    assert reached["POST /partners/borrow", 202] > 0
    assert reached["GET /partners/loan/{partnerLoanId}", 200] > 0
    assert reached["GET /partners/loan/{partnerLoanId}/payoff", 200] > 0
    assert reached["POST /partners/repay", 202] > 0


def test_chains_of_calls_about_webhooks_keep_to_the_schema_and_read_what_they_made(world: World) -> None:
    reached = run(world, fuzzing.load().include(tag="Webhooks"))

    assert reached["POST /partners/my/webhooks", 201] > 0
    assert reached["GET /partners/my/webhooks/{endpointId}", 200] > 0


def run(world: World, schema: Any) -> Counter[tuple[str, int]]:
    """Chains of these operations; how often each was answered each status."""
    reached: Counter[tuple[str, int]] = Counter()

    @seed(fuzzing.SEED)
    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        """The world's partner calls, whatever the links lead to."""

        def setup(self) -> None:
            world.begin()  # the same calls again have the same answers

        def before_call(self, case: Any) -> None:
            world.make_sensible(case)

        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": world.headers}

        def after_call(self, response: Any, case: Any) -> None:
            world.after(case, response)
            reached[case.operation.label, response.status_code] += 1

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            world.validate(case, response)

    Machine.run(settings=settings(fuzzing.SETTINGS, max_examples=EXAMPLES, stateful_step_count=STEPS))
    return reached
