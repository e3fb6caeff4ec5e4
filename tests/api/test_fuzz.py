"""Schemathesis: every operation with valid and invalid data, and chains of them by the schema's links.

No 500, no status, header or body that the schema does not tell of, no valid data refused, no invalid data accepted.
"""

from typing import Any

import pytest

from tests.api import fuzzing
from tests.api.fuzzing import World

pytestmark = pytest.mark.django_db(transaction=True)

schema = fuzzing.load().exclude(tag="Staff")  # tests/staff/test_fuzz.py has those


@schema.parametrize()
@fuzzing.SETTINGS
def test_the_operation_keeps_to_its_schema(case: Any, world: World) -> None:
    world.make_sensible(case)
    response = case.call(headers=world.headers)
    world.after(case, response)
    world.validate(case, response)
