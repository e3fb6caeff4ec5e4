"""How fast the watcher catches up: 50,000 events read, stored and applied, a reorg of 20 blocks in the middle.

A crowd draws and repays against 1,000 positions, 50 movements a block; every 25th movement is a repayment of a position
that a partner lent against, which goes through the ledger of its loans. Half of the blocks are caught up with; then the
newest 20 of them are replaced, the other half follows, and the rest is caught up with. What is timed is the watcher and
its consumer, by the wall clock: nothing else runs meanwhile. Afterwards the events in the database must be those of the
chain, all applied, and the reconciliation must find nothing.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.world import running_servers

if TYPE_CHECKING:
    from sandbox.world import World

T = TypeVar("T")
MAX_SECONDS = 60.0
REORG_BLOCKS = 20
POSITIONS = 1_000
LENT = 20
EVERY_LENT = 25
CALLS_PER_BLOCK = 50
BUNDLES_PER_SEND = 2  # they fit into one block: anvil leaves what does not until something else comes
OPENINGS_PER_BLOCK = 30
EVENTS_PER_CALL = 3
OPERATION_GAS = 12_000_000
BUNDLE_GAS = 15_000_000
USDC = 10**6
VALUE = 100_000 * USDC
UNLIMITED = 2**256 - 1


@dataclass
class PositionHolder:
    """A contract that owns the positions; it runs many calls in one transaction, which makes one block."""

    world: "World"
    address: str
    bundles: int = 0
    positions: list[int] = field(default_factory=list)

    def run(self, calls: Any) -> list[dict[str, Any]]:
        """Blocks of these calls, each block a list of `(to, data)`; answers their receipts."""
        from chain.lending import deployment
        from chain.lending.bundles import encode_execute
        from chain.lending.encoding import Call, uid_of
        from chain.rpc.clients import get_client
        from sandbox.keys import key_pair

        receipts: list[dict[str, Any]] = []
        for some in _batched(calls, BUNDLES_PER_SEND):
            bundles = []
            for block in some:
                self.bundles += 1
                inner = [Call(to, 0, data) for to, data in block]
                data = encode_execute([(uid_of(f"crowd:{self.bundles}"), inner)])
                bundles.append(Call(self.address, 0, data))
            key = key_pair("deployer").private_key
            receipts += deployment.send(client=get_client(), key=key, calls=bundles, gas=BUNDLE_GAS)
        return receipts


def main() -> int:
    """Furnish, catch up twice, compare with the chain; answers 0 where all of it holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--events", type=int, default=50_000)
    options = parser.parse_args()
    with running_servers():
        world = _furnish()
        crowd = _gather(world)
        movements = _movements(crowd)
        # A few more: what pays interest only moves no credit line and has an event less.
        blocks = options.events // EVENTS_PER_CALL // CALLS_PER_BLOCK
        crowd.run(islice(movements, blocks // 2 + REORG_BLOCKS))
        first, before = _catch_up()
        _reorganize(crowd)
        crowd.run(islice(movements, blocks - blocks // 2))
        second, after = _catch_up()
        return _report(options.events, first + second, before.events + after.events, after.rolled_back)


def _report(wanted: int, seconds: float, read: int, rolled_back: int) -> int:
    from chain.models import ChainEvent
    from loans.reconciliation.run import reconcile

    stored = ChainEvent.objects.count()
    unapplied = ChainEvent.objects.filter(applied__in=[False]).count()
    run = reconcile(freeze=False)
    rate = read / seconds
    print(f"{stored:,} events, {read:,} read, {rolled_back} blocks undone: {seconds:.1f} s, {rate:,.0f} events/s")
    checks = [
        (f"{seconds:.1f} s", seconds < MAX_SECONDS * wanted / 50_000, f"{MAX_SECONDS * wanted / 50_000:.0f} s"),
        (f"{stored:,} events", stored >= wanted, f"{wanted:,}"),
        (f"{rolled_back} blocks undone", rolled_back >= REORG_BLOCKS, str(REORG_BLOCKS)),
        (f"{stored - _events_on_chain()} events that the chain has not", stored == _events_on_chain(), "0"),
        (f"{unapplied} not applied", unapplied == 0, "0"),
        (f"{len(run.findings)} discrepancies", not run.findings, "0"),
    ]
    for text, holds, bound in checks:
        print(f"{'ok  ' if holds else 'MISS'}  {text} (bound {bound})")
    return 0 if all(holds for _, holds, _ in checks) else 1


def _catch_up() -> tuple[float, Any]:
    from loans.services import follow

    started = time.monotonic()
    watched, _ = follow.follow_chain()
    return time.monotonic() - started, watched


def _reorganize(crowd: PositionHolder) -> None:
    """The newest blocks are replaced by empty ones; the crowd's movements in them never happened."""
    from chain.rpc.clients import get_client

    get_client().call("anvil_reorg", [REORG_BLOCKS, []])


# --- The chain ------------------------------------------------------------------------------------------


def _furnish() -> "World":
    """Contracts, an interest of 5 %, and a partner's loan against each of `LENT` positions, settled by the platform."""
    from django.conf import settings
    from django.core.management import call_command

    from benchmarks.furnish import create_bench_partner, furnish
    from chain.lending import deployment
    from chain.lending.encoding import Call, encode_call
    from chain.rpc.clients import get_client
    from sandbox.keys import key_pair

    call_command("migrate", verbosity=0)
    world = furnish(users=LENT)
    for name, value in world.environment().items():
        setattr(settings, name, value)
    rate = Call(world.contracts["seniorPool"], 0, encode_call("setInterestRateBps(uint16)", [500]))
    deployment.send(client=get_client(), key=key_pair("deployer").private_key, calls=[rate])
    create_bench_partner(world)
    _lend(world)
    return world


def _lend(world: "World") -> None:
    from chain.settlement import driver
    from loans.models import LoanStatus, PartnerLoan
    from loans.services.borrow import BorrowRequest, request_borrow
    from loans.services.settle import settle_due
    from partners.models import Partner

    partner = Partner.objects.get()
    for number, user in enumerate(world.users):
        request = BorrowRequest(
            oaid_token_id=user.oaid_token_id,
            user_wallet=user.wallet,
            borrow_amount=1_000 * USDC,
            partner_loan_id=f"bench-{number}",
        )
        request_borrow(partner=partner, request=request)
    while driver.drive_once().live:
        settle_due()
    settle_due()
    assert PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() == len(world.users)


def _gather(world: "World") -> PositionHolder:
    """Deploy the crowd and open its positions, `EVENTS_PER_CALL` events each."""
    from chain.lending import deployment
    from chain.lending.encoding import encode_call
    from chain.lending.fast_codec import event
    from chain.rpc.clients import get_client
    from sandbox.keys import key_pair

    contracts = world.contracts
    deployer = key_pair("deployer")
    address = deployment.deploy_executor(
        client=get_client(),
        owner_key=deployer.private_key,
        operator_address=deployer.address,
        treasury=deployer.address,
        usdc=contracts["usdc"],
        operation_gas_floor=OPERATION_GAS,
    )
    get_client().call("anvil_setBalance", [deployer.address, hex(1_000_000 * deployment.ETHER)])
    crowd = PositionHolder(world, address)
    token, vault = contracts["collateralToken"], contracts["solvencyVault"]
    approve = encode_call("approve(address,uint256)", [vault, UNLIMITED])
    mint = encode_call("mint(address,uint256)", [address, POSITIONS * 10**18])
    opening = encode_call("openPosition(address,uint256,uint256,uint8)", [token, 10**18, VALUE, 0])
    crowd.run([[(token, mint), (token, approve), (contracts["usdc"], approve)]])
    receipts = crowd.run(_batched([(vault, opening)] * POSITIONS, OPENINGS_PER_BLOCK))
    opened = event("SolvencyVault", "PositionOpened")
    logs = (log for receipt in receipts for log in receipt["logs"] if log["topics"][0] == opened.topic)
    crowd.positions = [opened.decode(log)["positionId"] for log in logs]
    assert len(crowd.positions) == POSITIONS
    return crowd


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def _movements(crowd: PositionHolder) -> Iterator[Any]:
    """Blocks of draws and, in the next round over the positions, smaller repayments; without end."""
    return _batched(_calls(crowd), CALLS_PER_BLOCK)


def _calls(crowd: PositionHolder) -> Iterator[tuple[str, str]]:
    from chain.lending.encoding import encode_call

    vault = crowd.world.contracts["solvencyVault"]
    number = 0
    while True:
        turn = number // POSITIONS
        if number % EVERY_LENT == 0:
            position, repays = crowd.world.users[number // EVERY_LENT % LENT].position_id, number >= POSITIONS
        else:
            position, repays = crowd.positions[number % POSITIONS], turn % 2 == 1
        amount = 4 * USDC if repays else 10 * USDC
        number += 1
        if not repays and position not in crowd.positions:
            continue
        signature = "repayLoan(uint256,uint256)" if repays else "borrowUSDC(uint256,uint256)"
        yield vault, encode_call(signature, [position, amount])


def _events_on_chain() -> int:
    """The same events, counted by asking the node for every block."""
    from chain.events import decoding
    from chain.rpc.clients import get_client

    head = get_client().block_number()
    logs: dict[tuple[str, str], Any] = {}
    for first in range(0, head + 1, 100):
        bounds = {"fromBlock": hex(first), "toBlock": hex(min(first + 99, head))}
        for found in get_client().batch([("eth_getLogs", [{**bounds, **chosen}]) for chosen in decoding.filters()]):
            logs |= {(log["blockHash"], log["logIndex"]): log for log in found}
    in_order = sorted(logs.values(), key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))
    return len(decoding.rows(in_order, {log["blockHash"]: 0 for log in in_order}))


if __name__ == "__main__":
    sys.exit(main())
