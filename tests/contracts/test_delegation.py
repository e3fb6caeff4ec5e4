"""The executor's code as the EIP-7702 delegate of an existing platform account, which sends to itself."""

import pytest
from eth_account import Account

from chain.lending import deployment
from chain.lending.bundles import encode_execute
from chain.lending.encoding import Call, address_topic, encode_call, uid_of
from chain.lending.revert_data import error_selector
from tests.contracts.lab import BUNDLE_GAS, USDC, Borrower, Lab


@pytest.fixture
def account(lab: Lab) -> str:
    """The operator's account with the executor's code, authorized by itself at the nonce after the transaction's."""
    signer = Account.from_key(lab.operator.private_key)
    nonce = int(lab.client.call("eth_getTransactionCount", [signer.address, "latest"]), 16)
    authorization = signer.sign_authorization({"chainId": 5003, "address": lab.executor, "nonce": nonce + 1})
    transaction = {
        "type": 4,
        "chainId": 5003,
        "nonce": nonce,
        "to": signer.address,
        "value": 0,
        "data": "0x",
        "gas": 100_000,
        "maxFeePerGas": 10**11,
        "maxPriorityFeePerGas": 1,
        "authorizationList": [authorization],
    }
    deployment.send_signed(client=lab.client, raws=["0x" + signer.sign_transaction(transaction).raw_transaction.hex()])
    code = lab.client.call("eth_getCode", [signer.address, "latest"])
    assert code == "0xef0100" + lab.executor[2:].lower()
    assert int(lab.client.call("eth_getTransactionCount", [signer.address, "latest"]), 16) == nonce + 2
    return str(signer.address)


def test_a_delegated_account_borrows_pays_out_and_repays_by_sending_to_itself(
    lab: Lab, borrower: Borrower, account: str
) -> None:
    allow = encode_call("setOperator(address,bool)", [account, True])
    lab.send(borrower.keys, Call(lab.vault, 0, allow))
    lab.approve(lab.settlement, account, 2**255)
    pull = encode_call("transferFrom(address,address,uint256)", [lab.settlement.address, account, 60 * USDC])
    repay = encode_call("repay(address,uint256,uint256,bool)", [lab.vault, borrower.position, 60 * USDC, False])
    operations = [
        ("loan", lab.borrow_calls(borrower.position, 100 * USDC, 99 * USDC)),
        ("bad loan", lab.borrow_calls(999, USDC)),
        ("repay", [Call(lab.usdc, 0, pull), Call(account, 0, repay)]),
        ("loan", lab.borrow_calls(borrower.position, 100 * USDC, 99 * USDC)),
    ]

    (receipt,) = lab.send(lab.operator, lab.bundle(*operations, executor=account))

    happened = [outcome for _, outcome in lab.outcomes(receipt, account)]
    assert happened == ["EXECUTED", "PositionNotActive(positionId=999)", "EXECUTED", "SKIPPED"]
    assert lab.debt(borrower.position) == 40 * USDC
    assert lab.balance(lab.settlement.address) == 39 * USDC
    assert lab.balance(account) == USDC
    assert lab.read("PlatformExecutor", account, "executed", bytes.fromhex(uid_of("loan")[2:])) is True
    assert lab.executed("loan") is False


def test_a_delegated_account_takes_bundles_and_owners_orders_from_nobody_else(lab: Lab, account: str) -> None:
    bundle = Call(account, 0, encode_execute([]))
    for nobody in (lab.owner, lab.stranger):
        assert lab.refusal(nobody.address, bundle, gas=BUNDLE_GAS) == f"NotOperator(caller={nobody.address})"
        withdraw = Call(account, 0, encode_call("withdrawFees(uint256)", [0]))
        assert lab.refusal(nobody.address, withdraw) == f"OwnableUnauthorizedAccount(account={nobody.address})"


def test_a_delegated_account_that_is_led_to_call_a_contract_lends_it_none_of_its_rights(lab: Lab, account: str) -> None:
    """The account began the transaction; what calls back into it is somebody else all the same."""
    wallet = lab.wallet_of(lab.operator)
    inner = encode_call("run((bytes32,(address,uint256,bytes)[]))", [(bytes(32), [(lab.usdc, 0, b"")])])
    for call, name in ((Call(account, 0, encode_execute([])), "NotOperator"), (Call(account, 0, inner), "OnlySelf")):
        reason = error_selector("PlatformExecutor", name) + address_topic(wallet)[2:]
        assert lab.refusal(account, lab.through(wallet, call)) == f"CallFailed(reason={reason})"


def test_a_delegated_account_still_receives_ether(lab: Lab, account: str) -> None:
    before = int(lab.client.call("eth_getBalance", [account, "latest"]), 16)
    lab.send(lab.owner, Call(account, 7, "0x"))
    assert int(lab.client.call("eth_getBalance", [account, "latest"]), 16) == before + 7
