"""The contracts on a chain of the tests' own, and the few verbs that tests of contracts need."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from chain.lending import deployment
from chain.lending.bundles import Outcome, decode_outcomes, encode_execute, split_by_operation
from chain.lending.contracts import artifact, contract_at
from chain.lending.encoding import Call, encode_call, to_bytes, uid_of
from chain.lending.fast_codec import event as event_of
from chain.lending.fast_codec import function as function_of
from chain.lending.revert_data import describe_revert
from chain.rpc.clients import ChainClient, RpcError
from chain.rpc.provider import web3_over
from sandbox.keys import KeyPair, key_pair
from sandbox.servers import anvil
from tests.support.waiting import eventually

USDC = 10**6
CREDIT = 10_000 * USDC
RWA = "RWA"
BUNDLE_GAS = 5_000_000


@dataclass
class Borrower:
    """A user with an open position on which the executor may borrow."""

    keys: KeyPair
    oaid: int
    position: int


@dataclass
class Lab:
    """Everything deployed; a block per transaction, made after the node answered (see `deployment.send_signed`)."""

    url: str
    client: ChainClient = field(init=False)
    owner: KeyPair = field(default_factory=lambda: key_pair("contracts:owner"))
    operator: KeyPair = field(default_factory=lambda: key_pair("contracts:operator"))
    stranger: KeyPair = field(default_factory=lambda: key_pair("contracts:stranger"))
    treasury: str = field(default_factory=lambda: key_pair("contracts:treasury").address)
    settlement: KeyPair = field(default_factory=lambda: key_pair("contracts:settlement"))
    system: deployment.System = field(init=False)
    executor: str = field(init=False)

    def __post_init__(self) -> None:
        self.client = ChainClient(urls=[self.url], chain_id=anvil.CHAIN_ID, timeout=10.0)
        for keys in (self.owner, self.operator, self.stranger, self.settlement):
            deployment.ensure_gas_money(client=self.client, address=keys.address)
        self.system = deployment.deploy_system(client=self.client, deployer_key=self.owner.private_key)
        self.executor = self.deploy_executor()

    @property
    def vault(self) -> str:
        return self.system["solvencyVault"]

    @property
    def pool(self) -> str:
        return self.system["seniorPool"]

    @property
    def usdc(self) -> str:
        return self.system["usdc"]

    @property
    def oaid(self) -> str:
        return self.system["oaid"]

    def deploy_executor(
        self, operation_gas_floor: int = deployment.OPERATION_GAS_FLOOR, *, usdc: str | None = None
    ) -> str:
        return deployment.deploy_executor(
            client=self.client,
            owner_key=self.owner.private_key,
            operator_address=self.operator.address,
            treasury=self.treasury,
            usdc=usdc or self.usdc,
            operation_gas_floor=operation_gas_floor,
        )

    def borrower(self, name: str = "borrower", *, credit: int = CREDIT, token_type: str = RWA) -> Borrower:
        keys = key_pair(f"contracts:{name}")
        token, position = deployment.open_sandbox_position(
            client=self.client,
            system=self.system,
            user_key=keys.private_key,
            credit_limit=credit,
            token_type=token_type,
            executor=self.executor,
        )
        return Borrower(keys, token, position)

    def read(self, contract: str, address: str, function: str, *args: Any) -> Any:
        """The value of a view function, a tuple where it has several."""
        return contract_at(contract, address, web3_over(self.client)).functions[function](*args).call()

    def balance(self, address: str) -> int:
        return int(self.read("MockUSDC", self.usdc, "balanceOf", address))

    def debt(self, position: int) -> int:
        return int(self.read("SolvencyVault", self.vault, "debtOf", position))

    def credit_line(self, oaid: int) -> tuple[int, int, bool]:
        limit, used, active = self.read("OAID", self.oaid, "getCreditLine", oaid)
        return limit, used, active

    def executed(self, key: str) -> bool:
        return bool(self.read("PlatformExecutor", self.executor, "executed", to_bytes(uid_of(key))))

    def block_time(self, receipt: dict[str, Any]) -> int:
        return int(self.client.call("eth_getBlockByNumber", [receipt["blockNumber"], False])["timestamp"], 16)

    def refusal(self, sender: str, call: Call, gas: int | None = None) -> str | None:
        """Why the chain would refuse this call now; None where it would not."""
        transaction = {"from": sender, "to": call.to, "value": hex(call.value), "data": call.data}
        try:
            self.client.call("eth_call", [{**transaction, **({"gas": hex(gas)} if gas else {})}, "latest"])
        except RpcError as error:
            return describe_revert(error.data) if isinstance(error.data, str) else error.message
        return None

    def send(self, keys: KeyPair, *calls: Call) -> list[dict[str, Any]]:
        return deployment.send(client=self.client, key=keys.private_key, calls=calls)

    def mine_unsigned(self, sender: str, call: Call, gas: int) -> dict[str, Any]:
        """The receipt of a transaction with this gas limit, whether it went through or not."""
        self.client.call("anvil_impersonateAccount", [sender])
        transaction = {"from": sender, "to": call.to, "data": call.data, "gas": hex(gas)}
        tx_hash = self.client.call("eth_sendTransaction", [transaction])
        self.client.call("anvil_stopImpersonatingAccount", [sender])
        receipt: dict[str, Any] = eventually(lambda: self.client.call("eth_getTransactionReceipt", [tx_hash]))
        return receipt

    def approve(self, keys: KeyPair, spender: str, amount: int) -> None:
        self.send(keys, Call(self.usdc, 0, encode_call("approve(address,uint256)", [spender, amount])))

    def fund_usdc(self, address: str, amount: int) -> None:
        self.send(self.owner, Call(self.usdc, 0, encode_call("mint(address,uint256)", [address, amount])))

    def set_rate(self, bps: int) -> None:
        self.send(self.owner, Call(self.pool, 0, encode_call("setInterestRateBps(uint16)", [bps])))

    def revalue(self, position: int, value: int) -> None:
        call = encode_call("setCollateralValue(uint256,uint256)", [position, value])
        self.send(self.owner, Call(self.vault, 0, call))

    def next_block_at(self, timestamp: int) -> None:
        self.client.call("evm_setNextBlockTimestamp", [timestamp])

    def now(self) -> int:
        return int(self.client.call("eth_getBlockByNumber", ["latest", False])["timestamp"], 16)

    def borrow_calls(self, position: int, amount: int, net: int | None = None, to: str | None = None) -> list[Call]:
        pay_out = encode_call(
            "transfer(address,uint256)", [to or self.settlement.address, amount if net is None else net]
        )
        return [self.vault_borrow(position, amount), Call(self.usdc, 0, pay_out)]

    def vault_borrow(self, position: int, amount: int) -> Call:
        return Call(self.vault, 0, encode_call("borrowUSDC(uint256,uint256)", [position, amount]))

    def repay_call(self, position: int, amount: int, *, close: bool = False) -> Call:
        args = [self.vault, position, amount, close]
        return Call(self.executor, 0, encode_call("repay(address,uint256,uint256,bool)", args))

    def payoff_call(
        self,
        position: int,
        loan: tuple[int, ...],
        *,
        most: int,
        payer: str,
        vault: str | None = None,
        executor: str | None = None,
    ) -> Call:
        """`loan` is a `LoanDebt`: principal, accrued, priorPrincipal, priorAccrued, rateBps, since."""
        args = [vault or self.vault, position, loan, most, payer]
        return Call(executor or self.executor, 0, function_of("PlatformExecutor", "payoff").encode(*args))

    def pull_call(self, amount: int) -> Call:
        args = [self.settlement.address, self.executor, amount]
        return Call(self.usdc, 0, encode_call("transferFrom(address,address,uint256)", args))

    def wallet_of(self, owner: KeyPair) -> str:
        """The address of a new contract wallet."""
        creation = artifact("SmartWallet").bytecode + encode(["address"], [owner.address]).hex()
        (deployed,) = self.send(owner, Call("", 0, creation))
        return str(to_checksum_address(deployed["contractAddress"]))

    def through(self, wallet: str, call: Call) -> Call:
        """The call, made by a contract wallet at its owner's word."""
        data = encode_call("execute(address,uint256,bytes)", [call.to, call.value, to_bytes(call.data)])
        return Call(wallet, 0, data)

    def bundle(self, *operations: tuple[str, Sequence[Call]], executor: str | None = None) -> Call:
        data = encode_execute((uid_of(key), calls) for key, calls in operations)
        return Call(executor or self.executor, 0, data)

    def run(self, *operations: tuple[str, Sequence[Call]], keys: KeyPair | None = None) -> dict[str, Any]:
        """Mine a bundle of `(key, calls)`; answers its receipt."""
        return self.send(keys or self.operator, self.bundle(*operations))[0]

    def simulate(
        self,
        *operations: tuple[str, Sequence[Call]],
        sender: str | None = None,
        executor: str | None = None,
        gas: int = BUNDLE_GAS,
    ) -> list[Outcome]:
        call = self.bundle(*operations, executor=executor)
        transaction = {
            "from": sender or self.operator.address,
            "to": call.to,
            "data": call.data,
            "gas": hex(gas),
        }
        return decode_outcomes(self.client.call("eth_call", [transaction, "latest"]))

    def outcomes(self, receipt: dict[str, Any], executor: str | None = None) -> list[tuple[str, str]]:
        """`(uid, what happened)` of a mined bundle, in order."""
        return [
            (
                found.uid,
                describe_revert(found.outcome.reason) if found.outcome.status == 1 else found.outcome.status.name,
            )
            for found in split_by_operation(receipt["logs"], {(executor or self.executor).lower()})
        ]

    def events(self, receipt: dict[str, Any], contract: str, event: str) -> list[dict[str, Any]]:
        """The decoded arguments of these events in a receipt, in order."""
        wanted = event_of(contract, event)
        return [wanted.decode(log) for log in receipt["logs"] if log["topics"][0] == wanted.topic]
