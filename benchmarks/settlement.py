"""Loans settled a second in 2 s blocks of 30 M gas, three ways, in one run on one anvil.

1. literal: the plan's flow for one loan after the other: send the borrow, wait, send the transfer, wait.
2. ceiling: the very operations that we send, in bundles of ten, signed beforehand; no HTTP, no database, no Celery.
3. platform: `POST /partners/borrow` over HTTP, database, Celery, engine, chain, until the loan is ACTIVE in the books.

Loans go to 300 users in turn, without debt at first. The rate of 2 and 3 is loans over the whole time from the first
send (the first POST) to the last loan's block (to the last loan ACTIVE). `--loans` sets how many; the ratios are what
counts, and the exit code says whether they hold.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.world import BLOCK_SECONDS, Bench, cpu_seconds, running_platform, running_servers
from sandbox.servers.ports import LOOPBACK

if TYPE_CHECKING:
    from sandbox.world import World

LOAN = 10 * 10**6
GROUP = 10
CLIENTS = 6
USERS = 300
MIN_OF_CEILING = 0.60
MIN_OF_LITERAL = 80.0
MAX_GAS_RATIO = 0.80


@dataclass(frozen=True)
class SettlementRate:
    """One way of settling: loans a second, and gas a loan."""

    rate: float
    gas: float


def main() -> int:
    """Run the three, print the table, answer 0 where every ratio holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loans", type=int, default=2_400)
    parser.add_argument("--literal-loans", type=int, default=4)
    options = parser.parse_args()
    with running_servers() as bench:
        world = furnished(bench)
        with _fresh_positions(bench):
            literal = _literal(bench, world, options.literal_loans)
        with _fresh_positions(bench):
            ceiling = _ceiling(bench, world, options.loans)
        platform = _platform(bench, world, options.loans)
    return _report(literal, ceiling, platform)


def _report(literal: SettlementRate, ceiling: SettlementRate, platform: SettlementRate) -> int:
    print(f"{'':10}  loans/s   gas/loan")
    for name, result in {"literal": literal, "ceiling": ceiling, "platform": platform}.items():
        print(f"{name:10}  {result.rate:7.2f}  {result.gas:9,.0f}")
    checks = [
        (
            f"platform / ceiling {platform.rate / ceiling.rate:.2f}",
            platform.rate >= MIN_OF_CEILING * ceiling.rate,
            "0.60",
        ),
        (
            f"platform / literal {platform.rate / literal.rate:.0f}",
            platform.rate >= MIN_OF_LITERAL * literal.rate,
            "80",
        ),
        (
            f"gas of ten / gas of two transactions {platform.gas / literal.gas:.2f}",
            platform.gas <= MAX_GAS_RATIO * literal.gas,
            "0.80",
        ),
    ]
    for text, holds, bound in checks:
        print(f"{'ok  ' if holds else 'MISS'}  {text} (bound {bound})")
    return 0 if all(holds for _, holds, _ in checks) else 1


# --- The chain ------------------------------------------------------------------------------------------


def furnished(bench: Bench) -> "World":
    """Deploy everything, open large positions, one partner; then blocks come every two seconds."""
    from django.conf import settings

    from benchmarks.furnish import furnish
    from sandbox.servers import anvil

    world = furnish(users=USERS)
    for name, value in world.environment().items():
        setattr(settings, name, value)
        os.environ[name] = value
    anvil.rpc(bench.anvil_port, "evm_setIntervalMining", int(BLOCK_SECONDS))
    return world


@contextmanager
def _fresh_positions(bench: Bench) -> Iterator[None]:
    """Undo the block's loans afterwards: each way draws the first loan of each position, which costs most gas."""
    snapshot = _rpc(bench, "evm_snapshot")
    yield
    assert _rpc(bench, "evm_revert", snapshot)


def _rpc(bench: Bench, method: str, *params: object) -> Any:
    from sandbox.servers import anvil

    return anvil.rpc(bench.anvil_port, method, *params)


def _receipt(bench: Bench, tx_hash: str) -> dict[str, Any]:
    while True:
        receipt = _rpc(bench, "eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            assert receipt["status"] == "0x1", receipt
            return dict(receipt)
        time.sleep(0.05)


class _Signer:
    """An account that signs with nonces in a row."""

    def __init__(self, bench: Bench, label: str) -> None:
        from eth_account import Account

        from sandbox.keys import key_pair

        self.account = Account.from_key(key_pair(label).private_key)
        self.nonce = int(_rpc(bench, "eth_getTransactionCount", self.account.address, "latest"), 16)

    def sign(self, to: str, data: str, gas: int) -> str:
        signed = self.account.sign_transaction(
            {
                "chainId": 5003,
                "nonce": self.nonce,
                "to": to,
                "data": data,
                "value": 0,
                "gas": gas,
                "maxFeePerGas": 50 * 10**9,
                "maxPriorityFeePerGas": 10**9,
            }
        )
        self.nonce += 1
        return "0x" + signed.raw_transaction.hex()


# --- The three ways -------------------------------------------------------------------------------------


def _literal(bench: Bench, world: "World", loans: int) -> SettlementRate:
    from chain.lending.encoding import encode_call

    signer = _Signer(bench, "literal")
    gas: list[int] = []
    started = time.monotonic()
    for number in range(loans + 1):
        position = world.users[number % USERS].position_id
        legs = [
            (world.contracts["solvencyVault"], encode_call("borrowUSDC(uint256,uint256)", [position, LOAN])),
            (
                world.contracts["usdc"],
                encode_call("transfer(address,uint256)", [world.partners[0].settlement_address, LOAN]),
            ),
        ]
        used = 0
        for to, data in legs:
            receipt = _receipt(bench, _rpc(bench, "eth_sendRawTransaction", signer.sign(to, data, 500_000)))
            used += int(receipt["gasUsed"], 16)
        if number == 0:
            started = time.monotonic()  # the first one warms the account's slots and aligns with the blocks
        else:
            gas.append(used)
    return SettlementRate(loans / (time.monotonic() - started), statistics.mean(gas))


def _ceiling(bench: Bench, world: "World", loans: int) -> SettlementRate:
    from django.conf import settings

    from chain.lending import operations
    from chain.lending.bundles import encode_execute
    from chain.lending.encoding import uid_of

    signer = _Signer(bench, "ceiling")
    raws = []
    for first in range(0, loans, GROUP):
        group = []
        for number in range(first, min(first + GROUP, loans)):
            position = world.users[number % USERS].position_id
            calls, _ = operations.borrow_operation(
                position, LOAN, world.partners[0].settlement_address, LOAN - LOAN // 200
            )
            group.append((uid_of(f"ceiling:{number}"), calls))
        data = encode_execute(group)
        raws.append(signer.sign(world.contracts["platformExecutor"], data, settings.CHAIN_BUNDLE_GAS_LIMIT))
    _next_block(bench)
    started = time.monotonic()
    hashes = [_rpc(bench, "eth_sendRawTransaction", raw) for raw in raws]
    receipts = [_receipt(bench, tx_hash) for tx_hash in hashes]
    elapsed = time.monotonic() - started
    return SettlementRate(loans / elapsed, sum(int(receipt["gasUsed"], 16) for receipt in receipts) / loans)


def _platform(bench: Bench, world: "World", loans: int) -> SettlementRate:
    from django.core.management import call_command

    from benchmarks.furnish import create_bench_partner

    call_command("migrate", verbosity=0)
    key = create_bench_partner(world)
    with running_platform(bench) as servers:
        _borrow_all(bench, world, key, range(-CLIENTS, 0))
        _wait_until_active(CLIENTS)
        _next_block(bench)
        pids = {name: server.pid for name, server in {**servers, **bench.servers}.items()}
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        started = time.monotonic()
        _borrow_all(bench, world, key, range(loans))
        accepted = time.monotonic() - started
        _wait_until_active(CLIENTS + loans)
        elapsed = time.monotonic() - started
        cpu = {name: (cpu_seconds(pid) - before[name]) * 1000 / loans for name, pid in pids.items()}
    print("CPU ms/loan " + "  ".join(f"{name} {milliseconds:.1f}" for name, milliseconds in cpu.items()))
    print(f"accepted {loans / accepted:.0f} borrows/s over HTTP")
    return SettlementRate(loans / elapsed, _gas_a_loan())


def _borrow_all(bench: Bench, world: "World", key: str, numbers: Sequence[int]) -> None:
    """Post from `CLIENTS` threads with connections that stay open; http.client, for what it costs is ours to share."""

    def client(mine: Sequence[int]) -> None:
        connection = http.client.HTTPConnection(LOOPBACK, bench.web_port, timeout=60)
        headers = {"Authorization": f"Bearer {key}", "Prefer": "respond-async", "Content-Type": "application/json"}
        for number in mine:
            user = world.users[number % USERS]
            body = {
                "oaidTokenId": user.oaid_token_id,
                "userWallet": user.wallet,
                "borrowAmount": str(LOAN),
                "partnerLoanId": f"bench-{number}",
            }
            connection.request("POST", "/partners/borrow", json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            assert answer.status == 202, text

    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(client, numbers[index::CLIENTS]) for index in range(CLIENTS)]:
            done.result()


def _wait_until_active(loans: int) -> None:
    from loans.models import LoanStatus, PartnerLoan

    while PartnerLoan.objects.filter(status=LoanStatus.ACTIVE).count() < loans:
        assert not PartnerLoan.objects.filter(status=LoanStatus.FAILED).exists()
        time.sleep(0.2)


def _gas_a_loan() -> float:
    from django.db.models import Count

    from chain.models import ChainTransaction

    full = [
        (transaction.gas_used, transaction.size)
        for transaction in ChainTransaction.objects.annotate(size=Count("operations"))
        if transaction.size == GROUP and transaction.gas_used
    ]
    return sum(gas for gas, _ in full) / sum(size for _, size in full)


def _next_block(bench: Bench) -> None:
    head = _rpc(bench, "eth_blockNumber")
    while _rpc(bench, "eth_blockNumber") == head:
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
