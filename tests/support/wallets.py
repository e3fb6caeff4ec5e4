"""Users whose wallet is a contract (ERC-1271)."""

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from chain.lending import deployment
from chain.lending.contracts import artifact
from chain.lending.encoding import Call, encode_call
from chain.lending.fast_codec import event
from chain.rpc.clients import get_client
from sandbox.keys import KeyPair
from sandbox.world import SandboxUser
from tests.support.chain import Chain


def smart_wallet_user(chain: Chain, owner: KeyPair, dollars: int = 7_000) -> SandboxUser:
    """A `SmartWallet` owned by `owner`, with an OAID of that credit limit on which the executor may borrow."""
    token, vault = chain.addresses["collateralToken"], chain.addresses["solvencyVault"]
    value = dollars * 10**6 * 10 // 7  # 70 % of it may be drawn
    amount = value * 10**12
    with chain.automine():
        deployment.ensure_gas_money(client=get_client(), address=owner.address)
        creation = artifact("SmartWallet").bytecode + encode(["address"], [owner.address]).hex()
        (deployed,) = deployment.send(client=get_client(), key=owner.private_key, calls=[Call("", 0, creation)])
        wallet = str(to_checksum_address(deployed["contractAddress"]))
        acts = [
            (token, encode_call("mint(address,uint256)", [wallet, amount])),
            (token, encode_call("approve(address,uint256)", [vault, amount])),
            (vault, encode_call("openPosition(address,uint256,uint256,uint8)", [token, amount, value, 0])),
            (vault, encode_call("setOperator(address,bool)", [chain.addresses["executor"], True])),
        ]
        receipts = deployment.send(
            client=get_client(),
            key=owner.private_key,
            calls=[
                Call(wallet, 0, encode_call("execute(address,uint256,bytes)", [to, 0, bytes.fromhex(data[2:])]))
                for to, data in acts
            ],
        )
    opening = event("SolvencyVault", "PositionOpened")
    (log,) = (log for log in receipts[2]["logs"] if log["topics"][0] == opening.topic)
    opened = opening.decode(log)
    return SandboxUser(wallet, owner.private_key, opened["oaidTokenId"], opened["positionId"], dollars * 10**6)
