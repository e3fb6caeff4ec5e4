"""`make fuzz STEPS=10000 SEED=7` runs so many steps and prints the seed; `make test` a short, always equal run.

A violation prints the shortest history that leads to it, as code; the same SEED finds it again.
"""

import logging
import math
import os
import random
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Verbosity, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import run_state_machine_as_test
from pytest_django.fixtures import Settings

from chain.lending import deployment
from chain.lending.encoding import encode_call
from chain.models import PlatformWallet, WalletStatus
from chain.rpc.clients import ChainClient, get_client
from chain.signals import operations_final
from loans.models import LoanStatus, PartnerLoan
from sandbox.furnish import fund_partner
from sandbox.keys import key_pair
from sandbox.world import SandboxPartner
from tests.factories import DOLLAR, open_lender
from tests.fuzz.machine import History
from tests.fuzz.nodes import Nodes
from tests.fuzz.people import UNLIMITED, People
from tests.fuzz.platform import EXECUTOR_IS_PAUSED, Lender, Platform
from tests.support.chain import Chain
from tests.support.clocks import shift_clock
from tests.support.invariants import Invariants
from tests.support.signals import heard_by
from tests.support.snapshots import Snapshot, forget

pytestmark = pytest.mark.django_db(transaction=True)

STEPS_OF_A_HISTORY = 40
SHORT_RUN = 200
USERS_DOLLARS = 1_000_000


@pytest.fixture
def platform(chain: Chain, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """Three partners, two executors, two keys, two endpoints; nothing depends on the machine's clock or speed."""
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, 10**6)
    for module in ("services", "operators.operating"):
        monkeypatch.setattr(f"chain.{module}.wake_driver", lambda: None)
    heard_by(monkeypatch, operations_final)  # by nobody: the rules say when something is settled
    monkeypatch.setattr("chain.lending.readings.HEAD_SECONDS", 10**6)
    monkeypatch.setattr("chain.reconciling.EVERYWHERE_SECONDS", 0)
    monkeypatch.setattr("loans.reconciliation.run.POLL_SECONDS", 0)
    monkeypatch.setattr("chain.rpc.health.STALL_SECONDS", -math.inf)  # an endpoint is left out by its blocks alone
    logging.disable(logging.CRITICAL)  # thousands of histories; a failure prints its own
    forget()
    nodes = Nodes(chain)
    with chain.automine():
        other = deploy_second_executor(chain)
        accounts = [*chain.world.partners, fund_partner("stranger")]
    invariants = Invariants(chain, other)
    another_key = prepare(chain, accounts, other)
    lenders = [_open_lender(account, name) for account, name in zip(accounts, ("one", "two", "three"), strict=False)]
    settings.CHAIN_RPC_URLS = nodes.urls
    nodes.install()
    monkeypatch.setattr(ChainClient, "check_heads", nodes.checking_heads(ChainClient.check_heads))
    yield Platform(
        chain=chain,
        nodes=nodes,
        snapshot=Snapshot(chain),
        invariants=invariants,
        opened=lenders,
        stranger=accounts[3],
        executors=(settings.PLATFORM_EXECUTOR_ADDRESS, other),
        keys=(settings.PLATFORM_PRIVATE_KEY, another_key),
        counts=nodes.counts,
    )
    nodes.remove()
    shift_clock()
    logging.disable(logging.NOTSET)
    forget()


def test_no_history_of_the_whole_system_breaks_m1_to_m7(platform: Platform, capsys: Any):
    steps = int(os.environ.get("STEPS") or SHORT_RUN)
    chosen = os.environ.get("SEED") or (str(random.randrange(10**6)) if "STEPS" in os.environ else "")  # noqa: S311
    with capsys.disabled():
        if chosen:
            print(f"\n{steps} steps, SEED={chosen}")  # noqa: T201

    class Seeded(History):
        pass

    Seeded.platform = platform
    number = 0
    while platform.counts["steps"] < steps:
        machine: Any = seed(f"{chosen}/{number}")(Seeded) if chosen else Seeded
        left = steps - platform.counts["steps"]
        run_state_machine_as_test(machine, settings=_settings(-(-left // STEPS_OF_A_HISTORY), derandomize=not chosen))
        number += 1
    with capsys.disabled():
        if chosen:
            print("\n".join(f"{what:>40} {count:>7}" for what, count in sorted(platform.counts.items())))  # noqa: T201


def test_an_unpause_that_a_reorg_undid_freezes_the_wallet_until_the_operator_has_looked(platform: Platform):
    platform.begin()
    lender, user = platform.lenders[0], platform.chain.users[0]
    platform.people.pause_for_a_block()
    assert platform.borrow(lender, user, DOLLAR, crash_at=None) is not None
    platform.reorg(1, falls=False, ours_come_back=False)

    platform.work("drive")
    assert PlatformWallet.objects.get().status_reason == EXECUTOR_IS_PAUSED
    platform.operator_looks()
    assert PlatformWallet.objects.get().status == WalletStatus.FROZEN  # the executor is paused still
    platform.come_to_rest()

    assert platform.counts["wallets unfrozen"] == 1
    assert PartnerLoan.objects.get().status == LoanStatus.ACTIVE


def _settings(histories: int, *, derandomize: bool) -> hypothesis_settings:
    return hypothesis_settings(
        max_examples=histories,
        stateful_step_count=STEPS_OF_A_HISTORY,
        derandomize=derandomize,
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        verbosity=Verbosity.normal,
        suppress_health_check=list(HealthCheck),
    )


def prepare(chain: Chain, accounts: list[SandboxPartner], other: str) -> str:
    """Whatever one executor is allowed, the other is too; so are two keys. Returns the second key."""
    pair = key_pair("operator-2")
    deployment.ensure_gas_money(client=get_client(), address=pair.address)
    people = People(chain)
    people.prepare(chain.users, USERS_DOLLARS)
    for executor in (chain.addresses["executor"], other):
        people.turn_to(executor)
        people.allow_wallet(pair.address)
        for user in chain.users:
            people.set_operator(user, allowed=True, tip=2)
        for account in accounts:
            people.allow(account, UNLIMITED, tip=2)
        chain.mine()
    vault = chain.addresses["solvencyVault"]
    people.send(accounts[3].settlement_private_key, "usdc", encode_call("approve(address,uint256)", [vault, UNLIMITED]))
    chain.mine()
    return pair.private_key


def deploy_second_executor(chain: Chain) -> str:
    return deployment.deploy_executor(
        client=get_client(),
        owner_key=key_pair("deployer").private_key,
        operator_address=chain.addresses["operator"],
        treasury=chain.addresses["treasury"],
        usdc=chain.addresses["usdc"],
    )


def _open_lender(account: SandboxPartner, name: str) -> Lender:
    partner, key = open_lender(
        account.settlement_address,
        partner_id=f"partner_{name}",
        partner_name=f"Lender {name}",
        daily_borrow_limit=str(60_000 * DOLLAR),
        total_borrow_limit=str(120_000 * DOLLAR),
    )
    return Lender(partner.pk, key, account)
