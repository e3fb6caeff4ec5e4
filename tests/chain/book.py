"""The test's own book: what was accepted, and what must have moved on the chain once all of it is settled."""

import datetime as dt
import itertools
from collections.abc import Sequence

from chain import selectors, services
from chain.lending import operations
from chain.lending.encoding import Call, encode_call
from chain.models import ChainTransaction, Operation, OperationState, PlatformWallet
from chain.operators import operating
from chain.operators.inspection import inspect_wallet
from chain.rpc.clients import get_client
from chain.settlement import driver
from chain.settlement.engine import Engine
from chain.settlement.tracking import track_transactions
from tests.support.chain import FINAL_AFTER_BLOCKS, Chain

AMOUNT = 1_000_000_000  # $1,000
NET = 995_000_000
KIND = "test"


class Book:
    """Borrows of $1,000 that pay out $995 to the first partner, of the user with the $50,000 line."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.user = chain.users[1]
        self.receiver = chain.world.partners[0].settlement_address
        self._numbers = itertools.count(1)
        self._last_accepted: dt.datetime | None = None
        self._before = self._money()

    def borrow(self, *, amount: int = AMOUNT, net: int = NET) -> Operation:
        calls, effect = operations.borrow_operation(self.user.position_id, amount, self.receiver, net)
        return self._enqueue(calls, effect)

    def borrows(self, count: int) -> list[Operation]:
        return [self.borrow() for _ in range(count)]

    def impossible_borrow(self) -> Operation:
        """Far above the credit line."""
        return self.borrow(amount=10**13, net=10**13)

    def borrow_and_pull(self, payer: str, amount: int) -> Operation:
        """A borrow whose second leg pulls USDC from `payer`, who may have none left by then."""
        calls, effect = operations.borrow_operation(self.user.position_id, AMOUNT, self.receiver, NET)
        data = encode_call(
            "transferFrom(address,address,uint256)", [payer, self.chain.addresses["platformExecutor"], amount]
        )
        return self._enqueue([calls[0], Call(self.chain.addresses["usdc"], 0, data)], effect[:1])

    def check(
        self,
        *,
        confirmed: list[Operation],
        not_done: dict[OperationState, list[Operation]] | None = None,
        moved: Sequence[Operation] = (),
    ) -> None:
        """The two checks: every accepted operation is in its final state; the money moved once for each success, and
        for each of `moved`, which the chain executed and the books do not know.
        """
        self.check_states(confirmed=confirmed, not_done=not_done)
        count = len(confirmed) + len(moved)
        assert self._moved() == {
            "debt": count * AMOUNT,
            "paid out": count * NET,
            "fees kept": count * (AMOUNT - NET),
        }

    def check_states(
        self, *, confirmed: list[Operation], not_done: dict[OperationState, list[Operation]] | None = None
    ) -> None:
        """Every accepted operation is in this state, whatever has moved."""
        not_done = not_done or {}
        expected = {operation.key: OperationState.CONFIRMED for operation in confirmed}
        expected |= {operation.key: state for state, operations in not_done.items() for operation in operations}
        assert {operation.key: operation.state for operation in Operation.objects.all()} == expected

    def check_nothing_moved(self) -> None:
        assert self._moved() == {"debt": 0, "paid out": 0, "fees kept": 0}

    def settle(self, blocks: int = 4) -> None:
        """Mine and step until nothing is live."""
        for _ in range(blocks):
            self.chain.mine()
            if not driver.drive_once().live:
                return

    def track_blocks(self, engine: Engine, count: int) -> None:
        """Mine so many blocks; the driver tracks its transactions at each."""
        for _ in range(count):
            self.chain.mine()
            track_transactions(engine)

    def finalize(self) -> None:
        """Mine until what is mined by now is final."""
        self.chain.mine(FINAL_AFTER_BLOCKS)

    def enqueue(self, calls: list[Call], effect: list[dict]) -> Operation:
        """Any operation; what it moves is for the test to know."""
        return self._enqueue(calls, effect)

    def act_on_what_is_final(self) -> None:
        """Be the owner of the operations: note that their final states were acted on."""
        for operation in selectors.unacknowledged(KIND, 100):
            assert services.acknowledge(operation=operation)

    def _enqueue(self, calls: list[Call], effect: list[dict]) -> Operation:
        operation = services.enqueue(key=f"operation-{next(self._numbers)}", kind=KIND, calls=calls, effect=effect)
        self._in_order(operation)
        return operation

    def _in_order(self, operation: Operation) -> None:
        """A quick machine accepts two in one millisecond, and rows keep no less: their order would be their ids'."""
        last = self._last_accepted
        if last is not None and operation.created_at <= last:
            operation.created_at = last + dt.timedelta(milliseconds=1)
            operation.save(update_fields=["created_at"])
        self._last_accepted = operation.created_at

    def _money(self) -> dict[str, int]:
        vault, position = self.chain.addresses["solvencyVault"], self.user.position_id
        data = encode_call("debtOf(uint256)", [position])
        return {
            "debt": int(self.chain.rpc("eth_call", {"to": vault, "data": data}, "latest"), 16),
            "paid out": self.chain.usdc_balance(self.receiver),
            "fees kept": self.chain.usdc_balance(self.chain.addresses["platformExecutor"]),
        }

    def _moved(self) -> dict[str, int]:
        return {name: amount - self._before[name] for name, amount in self._money().items()}


def wallet() -> PlatformWallet:
    return PlatformWallet.objects.get()


def unfreeze() -> None:
    """A person looked at the wallet and lets it work again."""
    operating.unfreeze_by_operator(inspect_wallet(get_client(), wallet()), actor="operator:test")


def nonces() -> list[int]:
    return list(ChainTransaction.objects.order_by("nonce").values_list("nonce", flat=True))
