"""web3 over our own client: a contract object's calls get the client's endpoints, time-outs, batches and errors.

web3's own HTTP provider is not used: after a time-out it posts a request again by itself, a send too. This one sends
nothing at all. Transactions go through `ChainClient.send_raw`, whose caller decides what is sent again.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from web3 import Web3
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from chain.rpc.clients import RpcError

SENDS = frozenset({"eth_sendRawTransaction", "eth_sendTransaction", "eth_sendRawTransactionSync"})


class Client(Protocol):
    """The part of `chain.rpc.clients.ChainClient` that a provider needs."""

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]: ...


class ClientProvider(JSONBaseProvider):
    """One post for a call, and one for a batch, from the first endpoint that answers.

    What a node refuses is raised as the client's `RpcError`, a batch's first one too, and `ChainUnavailable` where no
    endpoint answers. Neither is one of web3's errors, so web3 neither rewords nor retries them.
    """

    # A contract may answer a call with a URL to be asked instead (EIP-3668): no address of a contract's choice is
    # asked from here.
    global_ccip_read_enabled = False

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client

    def make_request(self, method: RPCEndpoint, params: object) -> RPCResponse:
        """One call."""
        [response] = self.make_batch_request([(method, params)])
        return response

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Several calls in one post, in order."""
        for method, _ in requests:
            if method in SENDS:
                raise ValueError(f"{method}: a provider sends no transaction")
        results = self._client.batch(requests)
        for result in results:
            if isinstance(result, RpcError):
                raise result
        return [{"jsonrpc": "2.0", "id": number, "result": result} for number, result in enumerate(results)]


def web3_over(client: Client) -> Web3:
    """web3 over this client, without middleware: nothing is filled in, looked up or asked beside what is called."""
    return Web3(ClientProvider(client), middleware=[])
