"""What users and partners do on the chain by themselves, each mined in a block of its own."""

from typing import Any

from chain.encoding import encode_call

from tests.support.chain import Chain


def send_as(chain: Chain, sender: str, to: str, data: str) -> str:
    """A successful transaction of `sender`; answers its hash."""
    chain.rpc("anvil_impersonateAccount", sender)
    tx_hash = chain.rpc("eth_sendTransaction", {"from": sender, "to": to, "data": data})
    chain.mine()
    chain.rpc("anvil_stopImpersonatingAccount", sender)
    assert chain.rpc("eth_getTransactionReceipt", tx_hash)["status"] == "0x1"
    return str(tx_hash)


def set_operator(chain: Chain, user: Any, *, allowed: bool) -> str:
    """The user lets the platform account draw on their positions, or no longer."""
    data = encode_call("setOperator(address,bool)", [chain.addresses["executor"], allowed])
    return send_as(chain, user.wallet, chain.addresses["solvencyVault"], data)


def transfer_usdc(chain: Chain, sender: str, to: str, base_units: int) -> str:
    """A USDC transfer."""
    data = encode_call("transfer(address,uint256)", [to, base_units])
    return send_as(chain, sender, chain.addresses["usdc"], data)


def approve_usdc(chain: Chain, owner: str, base_units: int) -> str:
    """The owner's allowance for the platform account."""
    data = encode_call("approve(address,uint256)", [chain.addresses["executor"], base_units])
    return send_as(chain, owner, chain.addresses["usdc"], data)
