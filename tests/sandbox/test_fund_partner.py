"""A partner that was imported with a placeholder address pays its repayments, once it is funded."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from chain.lending.encoding import encode_call
from chain.rpc.clients import get_client
from sandbox.furnish import SETTLEMENT_USDC
from sandbox.keys import key_pair
from tests.factories import PartnerFactory
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

ADDRESS = key_pair("settlement:partner_new").address


def read(contract: str, call: str, *args: str) -> int:
    asked = {"to": contract, "data": encode_call(call, list(args))}
    return int(get_client().call("eth_call", [asked, "latest"]), 16)


def test_a_placeholder_address_is_given_usdc_that_the_executor_may_pull(chain: Chain, settings: Any) -> None:
    PartnerFactory.create(partner_id="partner_new", settlement_address=ADDRESS)
    chain.rpc("evm_setAutomine", True)
    out = StringIO()

    call_command("fund_partner", "partner_new", stdout=out)

    assert out.getvalue() == f"{ADDRESS} was given $250000, and the executor may pull it.\n"
    usdc, executor = settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS
    assert read(usdc, "balanceOf(address)", ADDRESS) == SETTLEMENT_USDC
    assert read(usdc, "allowance(address,address)", ADDRESS, executor) >= SETTLEMENT_USDC


def test_another_address_is_left_to_its_owner(settings: Any) -> None:
    partner = PartnerFactory.create()
    with pytest.raises(CommandError, match=f"The sandbox has no key of {partner.settlement_address}"):
        call_command("fund_partner", partner.partner_id)
    settings.IS_SANDBOX = False
    with pytest.raises(CommandError, match="This is for a sandbox"):
        call_command("fund_partner", partner.partner_id)
