"""What users, partners and the contracts' owner do on the chain by themselves, with their own keys.

Their transactions outlive a reorg or a wiped pool as they do in life: other nodes still know them, so they come back.
"""

from eth_account import Account

from chain.lending.encoding import encode_call
from sandbox.keys import key_pair
from sandbox.servers.anvil import NodeRefused
from sandbox.world import SandboxPartner, SandboxUser
from tests.support.chain import Chain

GWEI = 10**9
GAS_LIMIT = 600_000
UNLIMITED = 2**256 - 1


class People:
    """Everybody but the platform. What they send waits in the pool until somebody mines."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._addresses = dict(chain.addresses)
        self._nonces: dict[str, int] = {}
        self._sent: list[tuple[str, str]] = []  # hash and raw bytes, in the order of sending
        self._owner = key_pair("deployer").private_key

    def turn_to(self, executor: str) -> None:
        """The platform's account is another one from now on, for whoever pays it, allows it something or owns it."""
        self._addresses["executor"] = executor

    def allow_wallet(self, wallet: str) -> None:
        """The owner lets a key send bundles to the executor."""
        self.send(self._owner, "executor", encode_call("setOperator(address,bool)", [wallet, True]))

    def dust(self, stranger: SandboxPartner, user: SandboxUser, *, tip: int) -> None:
        """A base unit to the platform account, and one to the pool for the user's debt, by nobody we know."""
        key = stranger.settlement_private_key
        self.send(key, "usdc", encode_call("transfer(address,uint256)", [self._addresses["executor"], 1]), tip=tip)
        self.send(key, "solvencyVault", encode_call("repayLoan(uint256,uint256)", [user.position_id, 1]), tip=tip)

    def prepare(self, users: list[SandboxUser], dollars: int) -> None:
        """Users hold USDC and let the vault take it."""
        for user in users:
            self.send(self._owner, "usdc", encode_call("mint(address,uint256)", [user.wallet, dollars * 10**6]))
            approval = encode_call("approve(address,uint256)", [self._addresses["solvencyVault"], UNLIMITED])
            self.send(user.private_key, "usdc", approval)
        self._chain.mine()

    def set_operator(self, user: SandboxUser, *, allowed: bool, tip: int) -> None:
        data = encode_call("setOperator(address,bool)", [self._addresses["executor"], allowed])
        self.send(user.private_key, "solvencyVault", data, tip=tip)

    def draw(self, user: SandboxUser, amount: int, *, tip: int) -> None:
        data = encode_call("borrowUSDC(uint256,uint256)", [user.position_id, amount])
        self.send(user.private_key, "solvencyVault", data, tip=tip)

    def repay(self, user: SandboxUser, amount: int, *, tip: int) -> None:
        data = encode_call("repayLoan(uint256,uint256)", [user.position_id, amount])
        self.send(user.private_key, "solvencyVault", data, tip=tip)

    def fund(self, partner: SandboxPartner, amount: int, *, tip: int) -> str:
        """USDC to the platform account; answers the transaction's hash."""
        data = encode_call("transfer(address,uint256)", [self._addresses["executor"], amount])
        return self.send(partner.settlement_private_key, "usdc", data, tip=tip)

    def allow(self, partner: SandboxPartner, amount: int, *, tip: int) -> None:
        data = encode_call("approve(address,uint256)", [self._addresses["executor"], amount])
        self.send(partner.settlement_private_key, "usdc", data, tip=tip)

    def pause_for_a_block(self) -> None:
        """The owner pauses the executor in the next block, before anything else in it, and lets it run again."""
        self.send(self._owner, "executor", encode_call("pause()"), tip=50)
        self._chain.mine()
        self.send(self._owner, "executor", encode_call("unpause()"), tip=50)
        self._chain.mine()

    def come_back(self) -> None:
        """What a reorg or a wiped pool took is in the pool again, in the order it was sent."""
        for tx_hash, raw in self._sent:
            if self._chain.rpc("eth_getTransactionReceipt", tx_hash) is None:
                try:
                    self._chain.rpc("eth_sendRawTransaction", raw)
                except NodeRefused as refusal:
                    if "already" not in str(refusal):
                        raise

    def send(self, key: str, contract: str, data: str, *, tip: int = 2) -> str:
        account = Account.from_key(key)
        nonce = self._nonces.get(account.address)
        if nonce is None:
            nonce = int(self._chain.rpc("eth_getTransactionCount", account.address, "latest"), 16)
        fields = {"chainId": 5003, "nonce": nonce, "gas": GAS_LIMIT, "to": self._addresses[contract], "value": 0}
        fees = {"maxFeePerGas": 500 * GWEI, "maxPriorityFeePerGas": tip * GWEI}
        raw = "0x" + account.sign_transaction({**fields, **fees, "data": data}).raw_transaction.hex()
        tx_hash = str(self._chain.rpc("eth_sendRawTransaction", raw))
        self._nonces[account.address] = nonce + 1
        self._sent.append((tx_hash, raw))
        return tx_hash
