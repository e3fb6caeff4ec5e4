"""The fast path of contract calls against web3's own contract objects, and web3 over our client."""

from typing import Any

import pytest
from eth_utils.address import to_checksum_address
from web3.exceptions import BadFunctionCallOutput

from chain.lending.contracts import ABI_DIRECTORY, artifact, call_together, contract_at, contract_class
from chain.lending.fast_codec import ContractEvent, Function, Undecodable, readable
from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError
from chain.rpc.provider import SENDS, ClientProvider, web3_over
from tests.support.chain import Chain

ALICE, BOB = to_checksum_address("0x" + "a1" * 20), to_checksum_address("0x" + "b2" * 20)
NAMES = sorted(path.stem for path in ABI_DIRECTORY.glob("*.json"))
SAMPLES: dict[str, tuple[Any, Any]] = {
    "address": (ALICE, BOB),
    "bool": (True, False),
    "bytes": (b"", b"\x01" * 70),
    "bytes4": (b"\x16\x26\xba\x7e", bytes(4)),
    "bytes32": (b"\xfe" * 32, bytes(32)),
    "string": ("", "a token's name that is longer than one word"),
}


def members(name: str, kind: str) -> list[tuple[Any, int]]:
    """Each member of the contract, to be tried with small and with large values."""
    return [(item, which) for item in artifact(name).abi if item["type"] == kind for which in (0, 1)]


def sample(item: dict[str, Any], which: int) -> Any:
    """A value of the type: a small one or a large one."""
    abi_type = item["type"]
    if abi_type.endswith("[]"):
        inner = {**item, "type": abi_type.removesuffix("[]")}
        return [] if which else [sample(inner, 0), sample(inner, 1)]
    if abi_type == "tuple":
        return tuple(sample(component, which) for component in item["components"])
    if abi_type.startswith("uint"):
        return 2 ** int(abi_type.removeprefix("uint")) - 1 if which else 1
    return SAMPLES[abi_type][which]


def signature(item: dict[str, Any]) -> str:
    return f"{item['name']}({','.join(part['type'] for part in item['inputs'])})"


@pytest.mark.parametrize("name", NAMES)
def test_calldata_and_returned_values_are_those_of_web3(name: str) -> None:
    for item, which in members(name, "function"):
        compare_function(name, item, which)


def compare_function(name: str, item: Any, which: int) -> None:
    web3s: Any = contract_class(name)
    args = [sample(part, which) for part in item["inputs"]]
    matching = {len(entry["inputs"]) for entry in artifact(name).abi if entry.get("name") == item["name"]}
    identifier = item["name"] if len(matching) == 1 else signature(item)
    ours = Function(item)

    assert ours.encode(*args) == web3s.encode_abi(identifier, args)

    values = tuple(sample(part, which) for part in item["outputs"])
    returned = web3s.w3.codec.encode(ours.outputs, values) if values else b""
    decoded = web3s.w3.codec.decode(ours.outputs, returned)
    assert ours.decode("0x" + returned.hex()) == tuple(decoded)


@pytest.mark.parametrize("name", NAMES)
def test_an_events_arguments_are_those_of_web3(name: str) -> None:
    for item, which in members(name, "event"):
        compare_event(name, item, which)


def compare_event(name: str, item: Any, which: int) -> None:
    web3s: Any = contract_class(name)
    codec, ours = web3s.w3.codec, ContractEvent(name, item)
    values = {part["name"]: sample(part, which) for part in item["inputs"]}
    plain = [part for part in item["inputs"] if not part["indexed"]]
    indexed = [part for part in item["inputs"] if part["indexed"]]
    data = codec.encode([part["type"] for part in plain], [values[part["name"]] for part in plain])
    topics = ["0x" + codec.encode([part["type"]], [values[part["name"]]]).hex() for part in indexed]
    place = dict.fromkeys(("transactionIndex", "transactionHash", "blockHash", "blockNumber", "logIndex", "address"))
    log = {**place, "topics": [ours.topic, *topics], "data": "0x" + data.hex()}

    args = web3s.events[item["name"]]().process_log(log)["args"]

    types = {part["name"]: part["type"] for part in item["inputs"]}
    assert ours.decode(log) == {key: readable(types[key], args[key]) for key in types}


@pytest.mark.parametrize("topic", ["0x", "0x" + "00" * 31, "0x" + "00" * 33, "0x" + "ff" * 32])
def test_an_address_that_is_none_does_not_decode(topic: str) -> None:
    owned: Any = next(item for item in artifact("MockUSDC").abi if item.get("name") == "OwnershipTransferred")
    event = ContractEvent("MockUSDC", owned)
    with pytest.raises(Undecodable):
        event.decode({"topics": [event.topic, topic, "0x" + "00" * 32], "data": "0x"})


class Node:
    """A client that counts its posts and returns what it is given."""

    def __init__(self, *results: Any) -> None:
        self.results = list(results)
        self.posts: list[list[Any]] = []

    def batch(self, calls: Any) -> list[Any]:
        self.posts.append(list(calls))
        return self.results


WORD = "0x" + "00" * 31 + "01"


def test_calls_of_several_contracts_are_one_post() -> None:
    node = Node(WORD, WORD)
    w3 = web3_over(node)
    executor = contract_at("PlatformExecutor", ALICE, w3).functions
    usdc = contract_at("MockUSDC", BOB, w3).functions

    assert call_together(w3, [executor.paused(), usdc.balanceOf(ALICE)]) == [True, 1]
    assert [[(method, params[0]["to"]) for method, params in post] for post in node.posts] == [
        [("eth_call", ALICE), ("eth_call", BOB)]
    ]


def test_what_a_node_refuses_is_the_clients_error_in_a_batch_too() -> None:
    refusal = RpcError(3, "execution reverted", "0x")
    w3 = web3_over(Node(refusal))
    with pytest.raises(RpcError) as alone:
        contract_at("PlatformExecutor", ALICE, w3).functions.paused().call()
    assert alone.value is refusal
    w3 = web3_over(Node(WORD, refusal))
    executor = contract_at("PlatformExecutor", ALICE, w3).functions
    with pytest.raises(RpcError) as among_others:
        call_together(w3, [executor.paused(), executor.paused()])
    assert among_others.value is refusal


def test_a_contract_that_answers_with_a_url_is_refused_and_no_url_is_asked() -> None:
    """EIP-3668: `OffchainLookup(address,string[],bytes,bytes4,bytes)`."""
    node = Node(RpcError(3, "execution reverted", "0x556f1830" + "00" * 160))
    with pytest.raises(RpcError):
        contract_at("PlatformExecutor", ALICE, web3_over(node)).functions.paused().call()
    assert len(node.posts) == 1
    assert ClientProvider(node).global_ccip_read_enabled is False


def test_a_silent_chain_is_unavailable_to_web3_too() -> None:
    client = ChainClient(urls=["http://127.0.0.1:9"], chain_id=5003, timeout=0.2)
    with pytest.raises(ChainUnavailable):
        contract_at("PlatformExecutor", ALICE, web3_over(client)).functions.paused().call()


def test_a_contract_that_is_bound_to_no_chain_asks_no_node() -> None:
    """web3 would look for one on this machine."""
    unbound: Any = contract_class("PlatformExecutor")
    with pytest.raises(NotImplementedError, match="Providers must implement this method"):
        unbound(address=ALICE).functions.paused().call()


@pytest.mark.parametrize("method", sorted(SENDS))
def test_a_provider_sends_no_transaction(method: Any) -> None:
    node = Node("0x")
    with pytest.raises(ValueError, match="a provider sends no transaction"):
        ClientProvider(node).make_request(method, ["0x00"])
    assert node.posts == []


def test_an_address_without_a_contract_returns_nothing_that_decodes(chain: Chain) -> None:
    client = ChainClient(urls=[f"http://127.0.0.1:{chain.port}"], chain_id=5003, timeout=5.0)
    w3 = web3_over(client)
    with pytest.raises(BadFunctionCallOutput):
        contract_at("PlatformExecutor", BOB, w3).functions.paused().call()
    usdc = contract_at("MockUSDC", chain.addresses["usdc"], w3).functions
    assert usdc.balanceOf(BOB).call() == 0
    assert w3.eth.chain_id == 5003
