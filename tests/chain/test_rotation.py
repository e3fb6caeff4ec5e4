"""What stands in the way of replacing an executor and retiring the old one."""

from dataclasses import replace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from chain.operators import rotation
from chain.operators.rotation import ExecutorView, RotationRefused, require_can_replace, require_executor_is_unused
from tests.factories import OperationFactory

OLD, NEW, WALLET, USDC = ("0x" + pair * 20 for pair in ("e1", "e2", "a1", "c1"))


@pytest.fixture(autouse=True)
def _addresses(settings: Settings) -> None:
    settings.PLATFORM_EXECUTOR_ADDRESS, settings.USDC_ADDRESS = NEW, USDC


def operation(executor: str, state: str, *, acknowledged: bool, settings: Settings, **fields: Any) -> None:
    values = {"chain_id": settings.CHAIN_ID, **fields}
    OperationFactory.create(executor=executor, state=state, acknowledged=acknowledged, **values)


@pytest.mark.django_db
def test_the_configured_executor_is_not_retired() -> None:
    with pytest.raises(RotationRefused, match="PLATFORM_EXECUTOR_ADDRESS names it still"):
        require_executor_is_unused(NEW)
    require_executor_is_unused(OLD)


@pytest.mark.django_db
def test_an_executor_is_not_retired_before_all_that_was_promised_to_it_is_done_and_acted_on(settings: Settings) -> None:
    operation(OLD, "CONFIRMED", acknowledged=True, settings=settings)
    operation(NEW, "QUEUED", acknowledged=False, settings=settings)
    operation(OLD, "QUEUED", acknowledged=False, settings=settings, chain_id=settings.CHAIN_ID + 1)
    require_executor_is_unused(OLD)
    operation(OLD, "FAILED", acknowledged=False, settings=settings)
    operation(OLD, "QUEUED", acknowledged=False, settings=settings)
    assert (rotation.open_operations(OLD), rotation.open_operations(NEW)) == (2, 1)
    with pytest.raises(RotationRefused, match="2 operations that were promised to it are open"):
        require_executor_is_unused(OLD)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"usdc": "0x" + "c2" * 20}, "it pays 0xc2c2"),
        ({"is_paused": True}, "it is paused"),
        ({"allows": {WALLET: False}}, f"it does not take bundles of {WALLET}"),
    ],
)
def test_an_executor_that_could_not_do_the_work_does_not_replace_another(fields: dict[str, Any], reason: str) -> None:
    able = ExecutorView(NEW, "0x" + "C1" * 20, is_paused=False, usdc_balance=0, allows={WALLET: True})
    require_can_replace(able, WALLET)
    with pytest.raises(RotationRefused, match=reason):
        require_can_replace(replace(able, **fields), WALLET)
