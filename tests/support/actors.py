"""What users and partners do on the chain by themselves, each mined in a block of its own."""

from collections.abc import Callable
from typing import Any

from chain.lending.encoding import encode_call
from tests.support.chain import Chain

GAS = 1_000_000


def send_as(chain: Chain, sender: str, to: str, data: str) -> str:
    """A successful transaction of `sender`; answers its hash."""
    chain.rpc("anvil_impersonateAccount", sender)
    # Not estimated: interest that runs until the next block costs gas that the estimate did not see.
    tx_hash = chain.rpc("eth_sendTransaction", {"from": sender, "to": to, "data": data, "gas": hex(GAS)})
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


def set_interest_rate(chain: Chain, bps: int) -> str:
    """The pool's yearly rate, basis points, for positions that draw from now on."""
    data = encode_call("setInterestRateBps(uint16)", [bps])
    return send_as(chain, chain.addresses["deployer"], chain.addresses["seniorPool"], data)


def revalue(chain: Chain, user: Any, base_units: int) -> str:
    """What the user's collateral is worth from now on."""
    data = encode_call("setCollateralValue(uint256,uint256)", [user.position_id, base_units])
    return send_as(chain, chain.addresses["deployer"], chain.addresses["solvencyVault"], data)


def fund_usdc(chain: Chain, account: str, base_units: int) -> str:
    """New USDC for an account."""
    data = encode_call("mint(address,uint256)", [account, base_units])
    return send_as(chain, chain.addresses["deployer"], chain.addresses["usdc"], data)


def repay_on_chain(
    chain: Chain, payer: str, user: Any, base_units: int, *, before: Callable[[], object] | None = None
) -> str:
    """Somebody repays the user's position at the vault, without the platform; `before` runs just before that block."""
    fund_usdc(chain, payer, base_units)
    vault = chain.addresses["solvencyVault"]
    send_as(chain, payer, chain.addresses["usdc"], encode_call("approve(address,uint256)", [vault, base_units]))
    data = encode_call("repayLoan(uint256,uint256)", [user.position_id, base_units])
    if before is not None:
        before()
    return send_as(chain, payer, vault, data)


def draw_on_chain(chain: Chain, user: Any, base_units: int) -> str:
    """The user draws at the vault, without a partner."""
    data = encode_call("borrowUSDC(uint256,uint256)", [user.position_id, base_units])
    return send_as(chain, user.wallet, chain.addresses["solvencyVault"], data)


def liquidate(
    chain: Chain, liquidator: str, user: Any, base_units: int, *, before: Callable[[], object] | None = None
) -> str:
    """Somebody liquidates the user's position; `base_units` is enough to pay its debt."""
    fund_usdc(chain, liquidator, base_units)
    vault = chain.addresses["solvencyVault"]
    send_as(chain, liquidator, chain.addresses["usdc"], encode_call("approve(address,uint256)", [vault, base_units]))
    if before is not None:
        before()
    return send_as(chain, liquidator, vault, encode_call("liquidate(uint256)", [user.position_id]))
