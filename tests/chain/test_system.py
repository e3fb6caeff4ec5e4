"""What is asked of the lending contracts and how their answers are read."""

from typing import Any

import pytest
from eth_abi.abi import encode
from pytest_django.fixtures import Settings

from chain.lending import operations, readings
from chain.lending.encoding import (
    DEBT_UPDATED_TOPIC,
    LOAN_REPAID_TOPIC,
    REPAID_TOPIC,
    TRANSFER_TOPIC,
    address_topic,
    encode_call,
    topic_of,
    uid_of,
    uint_topic,
)
from chain.lending.fast_codec import function
from chain.lending.operations import PayoffTerms, PoolDebt
from chain.models import Operation
from chain.rpc import clients
from chain.rpc.clients import ChainUnavailable
from tests.chain.book import Book
from tests.support.chain import Chain
from tests.support.rpc_proxy import RpcProxy

VAULT, POOL, USDC, EXECUTOR = ("0x" + f"{number:02X}" * 20 for number in (0xA1, 0xB2, 0xC3, 0xE5))
PARTNER = "0x" + "7d" * 20
POSITION = 9
PAYOFF = function("PlatformExecutor", "payoff")


@pytest.fixture
def addresses(settings: Settings) -> None:
    settings.SOLVENCY_VAULT_ADDRESS, settings.SENIOR_POOL_ADDRESS = VAULT, POOL
    settings.USDC_ADDRESS, settings.PLATFORM_EXECUTOR_ADDRESS = USDC, EXECUTOR


def expected(address: str, *topics: str, number: int | None = None) -> dict[str, Any]:
    return {"address": address.lower(), "topics": list(topics), "data": None if number is None else uint_topic(number)}


DEBT_UPDATED = expected(POOL, DEBT_UPDATED_TOPIC, uint_topic(POSITION))
LOAN_REPAID = (LOAN_REPAID_TOPIC, uint_topic(POSITION), address_topic(EXECUTOR))
REPAID = expected(EXECUTOR, REPAID_TOPIC, uint_topic(POSITION))
PULLED = (TRANSFER_TOPIC, address_topic(PARTNER), address_topic(EXECUTOR))


@pytest.mark.usefixtures("addresses")
def test_a_borrow_draws_the_amount_and_pays_the_net_amount_out() -> None:
    calls, effect = operations.borrow_operation(POSITION, 1_000, PARTNER, 995)
    assert [(call.to, call.value, call.data) for call in calls] == [
        (VAULT, 0, encode_call("borrowUSDC(uint256,uint256)", [POSITION, 1_000])),
        (USDC, 0, encode_call("transfer(address,uint256)", [PARTNER, 995])),
    ]
    borrowed = topic_of("SolvencyVault", "USDCBorrowed")
    drawn = expected(VAULT, borrowed, uint_topic(POSITION), address_topic(EXECUTOR), number=1_000)
    paid = expected(USDC, TRANSFER_TOPIC, address_topic(EXECUTOR), address_topic(PARTNER), number=995)
    assert effect == [drawn, paid, DEBT_UPDATED]


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize("close", [False, True])
@pytest.mark.parametrize("pull_from", [None, PARTNER])
def test_a_repayment_pulls_where_it_is_told_whom_and_proves_its_amount_unless_it_closes(
    close: bool, pull_from: str | None
) -> None:
    calls, effect = operations.repay_operation(POSITION, 300, close, pull_from)
    pull = [(USDC, 0, encode_call("transferFrom(address,address,uint256)", [PARTNER, EXECUTOR, 300]))]
    repay = (EXECUTOR, 0, encode_call("repay(address,uint256,uint256,bool)", [VAULT, POSITION, 300, close]))
    assert [(call.to, call.value, call.data) for call in calls] == [*(pull if pull_from else []), repay]
    pulled = [expected(USDC, *PULLED, number=300)] if pull_from else []
    assert effect == [*pulled, expected(VAULT, *LOAN_REPAID, number=None if close else 300), REPAID, DEBT_UPDATED]


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize("pull_from", [None, PARTNER])
def test_a_payoff_is_reckoned_by_the_executor_from_the_loans_terms(pull_from: str | None) -> None:
    terms = PayoffTerms(principal=1, accrued=2, prior_principal=3, prior_accrued=4, rate_bps=5, since=6)
    ((call,), effect) = operations.payoff_operation(POSITION, terms, 99, pull_from)
    payer = pull_from or "0x" + "00" * 20
    assert (call.to, call.value) == (EXECUTOR, 0)
    assert call.data == PAYOFF.encode(VAULT, POSITION, (1, 2, 3, 4, 5, 6), 99, payer)
    pulled = [expected(USDC, *PULLED)] if pull_from else []
    assert effect == [expected(VAULT, *LOAN_REPAID), REPAID, DEBT_UPDATED, *pulled]


def log(address: str, *topics: str, values: tuple[int, ...] = (), index: int = 0) -> dict[str, Any]:
    data = "0x" + encode(["uint256"] * len(values), values).hex()
    return {"address": address.lower(), "topics": list(topics), "data": data, "logIndex": hex(index)}


POOL_LOG = log(POOL, DEBT_UPDATED_TOPIC, uint_topic(POSITION), values=(700, 8, 500), index=6)
REPAID_LOG = log(EXECUTOR, REPAID_TOPIC, uint_topic(POSITION), values=(300, 700))


@pytest.mark.usefixtures("addresses")
def test_the_pools_word_is_read_from_an_operations_logs() -> None:
    logs = [log(VAULT), log(VAULT, "0x0a"), POOL_LOG]
    assert operations.pool_debt(logs) == PoolDebt(principal=700, accrued=8, rate_bps=500)
    assert operations.movement_index(logs) == 6
    assert operations.pool_debt(logs[:2]) is None
    assert operations.movement_index(logs[:2]) == 0


@pytest.mark.usefixtures("addresses")
def test_what_was_repaid_is_the_executors_one_word() -> None:
    foreign = {**REPAID_LOG, "address": VAULT.lower()}

    def repaid(executor: str, logs: list[dict[str, Any]] | None) -> int:
        return operations.repaid_amount(Operation(executor=executor, outcome_logs=logs))

    assert repaid(EXECUTOR, [foreign, POOL_LOG, REPAID_LOG]) == 300
    # Whose it is decides, not which executor is configured now.
    assert repaid(VAULT, [{**REPAID_LOG, "data": POOL_LOG["data"]}, foreign]) == 300
    for logs, count in (([foreign], 0), ([REPAID_LOG, REPAID_LOG], 2), ([], 0), (None, 0)):
        with pytest.raises(LookupError, match=f"{count} Repaid events where one is expected"):
            repaid(EXECUTOR, logs)


@pytest.fixture
def node(chain: Chain, settings: Settings) -> Any:
    """The chain behind a proxy that counts."""
    readings._position_hints.clear()
    with RpcProxy(chain.url) as node:
        settings.CHAIN_RPC_URLS = [node.url]
        clients.get_client.cache_clear()
        yield node
    readings._position_hints.clear()


def test_an_oaid_and_its_position_are_read_in_one_post_once_the_position_is_known(chain: Chain, node: RpcProxy) -> None:
    user = chain.users[0]
    first = readings.read_backing(user.oaid_token_id)
    posts = node.posts
    second = readings.read_backing(user.oaid_token_id)
    assert node.posts == posts + 1
    assert first == second
    assert first is not None
    assert first.position is not None
    assert (first.oaid.owner, first.oaid.position_id) == (user.wallet, user.position_id)
    assert (first.position.user, first.position.oaid_token_id) == (user.wallet, user.oaid_token_id)
    assert first.oaid.available == user.credit_limit


def test_a_position_that_is_known_wrongly_is_read_again(chain: Chain, node: RpcProxy) -> None:
    user, other = chain.users[:2]
    readings._position_hints[user.oaid_token_id] = other.position_id
    backing = readings.read_backing(user.oaid_token_id)
    assert backing is not None
    assert backing.position is not None
    assert backing.position.position_id == user.position_id
    assert readings._position_hints[user.oaid_token_id] == user.position_id


def test_known_positions_never_fill_the_memory(chain: Chain, node: RpcProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "MAX_POSITION_HINTS", 2)
    first, second, third = (user.oaid_token_id for user in chain.users)
    for token in (first, second):
        readings.read_backing(token)
    assert set(readings._position_hints) == {first, second}
    readings.read_backing(third)
    assert set(readings._position_hints) == {third}


def test_a_token_that_was_never_minted_is_nothing(chain: Chain, node: RpcProxy) -> None:
    assert readings.read_backing(424_242) is None
    assert readings.read_oaid(424_242) is None
    assert readings.read_position(424_242) is None


def test_what_an_address_holds_and_lets_us_pull(chain: Chain, node: RpcProxy) -> None:
    partner = chain.world.partners[0].settlement_address
    assert readings.read_usdc_funding(partner) == (chain.usdc_balance(partner), 2**256 - 1)
    assert readings.read_usdc_funding("0x" + "11" * 20) == (0, 0)


@pytest.mark.django_db(transaction=True)
def test_which_operations_had_run_at_the_end_of_a_block(book: Book, node: RpcProxy) -> None:
    from chain.settlement import driver

    done = book.borrow()
    driver.drive_once()
    before = book.chain.block_number()
    book.settle()
    mine = [(done.executor, done.uid), (done.executor, uid_of("never"))]
    assert readings.read_executed(mine, before) == set()
    assert readings.read_executed(mine, before + 1) == {done.uid}
    posts = node.posts
    assert readings.read_executed(mine, before + 1) == {done.uid}
    assert node.posts == posts + 1


@pytest.mark.django_db(transaction=True)
def test_whether_an_operation_had_run_is_asked_of_its_own_executor(
    book: Book, node: RpcProxy, settings: Settings
) -> None:
    from chain.settlement import driver

    done = book.borrow()
    driver.drive_once()
    book.settle()
    block = book.chain.block_number()
    settings.PLATFORM_EXECUTOR_ADDRESS = settings.USDC_ADDRESS
    assert readings.read_executed([(done.executor, done.uid)], block) == {done.uid}
    with pytest.raises(ChainUnavailable):  # USDC knows no `executed`
        readings.read_executed([(settings.USDC_ADDRESS, done.uid)], block)


def test_an_oaid_has_what_is_not_used_available_and_never_less_than_nothing() -> None:
    def available(limit: int, used: int) -> int:
        reading = readings.OaidReading(1, PARTNER, limit, used, True, 2, 3)
        return reading.available

    assert [available(10, 3), available(10, 10), available(10, 11)] == [7, 0, 0]
