"""Errors of an endpoint that say nothing about the call, and those that are its answer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3

from chain.rpc.clients import ChainUnavailable, RpcError, get_client
from chain.rpc.endpoints import EndpointFailed, Request, RpcEndpoint
from chain.rpc.health import EndpointHealth
from partner_platform.core import metrics
from tests.support.rpc_proxy import RpcProxy

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("code", [429, -32005])
def test_an_endpoint_that_is_over_its_limits_has_not_answered(proxy: RpcProxy, code: int) -> None:
    proxy.refuse("eth_gasPrice", "slow down", code=code)
    with pytest.raises(ChainUnavailable):
        get_client().batch([("eth_gasPrice", [])])


@pytest.mark.parametrize("code", [428, 430, -32000, -32004, -32006])
def test_any_other_error_is_the_answer(proxy: RpcProxy, code: int) -> None:
    proxy.refuse("eth_gasPrice", "no such thing", code=code)
    [answer] = get_client().batch([("eth_gasPrice", [])])
    assert isinstance(answer, RpcError)
    assert (answer.code, answer.message) == (code, "no such thing")


def test_the_newest_block_of_an_endpoint_is_measured() -> None:
    endpoint = EndpointHealth("rpc.measured.example")
    for number in (25, 26):
        endpoint.has_head(number)
        assert f'chain_endpoint_head{{endpoint="rpc.measured.example"}} {number}.0' in metrics.build().decode()


@pytest.mark.parametrize(("code", "number"), [(3, 3), ("0x1ac", 428), ("many", 0), (None, 0), ([], 0)])
def test_a_code_that_is_no_number_is_none(proxy: RpcProxy, code: Any, number: int) -> None:
    proxy.refuse("eth_gasPrice", "no such thing", code=code)
    [answer] = get_client().batch([("eth_gasPrice", [])])
    assert (answer.code, answer.message) == (number, "no such thing")


class _Answers(BaseHTTPRequestHandler):
    """Answers each post with the status and the body that the test set on the server."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status, body = self.server.answer  # type: ignore[attr-defined]
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Silence: the tests' output is theirs."""


@pytest.fixture
def node() -> Iterator[Any]:
    """Set `answer` to what it says to everything."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((503, {"id": 0, "result": "0x138b"}), "HTTP 503"),
        ((200, {"id": 1, "result": "0x138b"}), "answers are missing"),
        ((200, []), "answers are missing"),
        ((200, {"id": 0, "result": "0x1"}), "it serves chain 1, not 5003"),
    ],
)
def test_an_endpoint_whose_answer_is_of_no_use_has_failed(node: Any, answer: Any, reason: str) -> None:
    node.answer = answer
    url = f"http://127.0.0.1:{node.server_port}"
    endpoint = RpcEndpoint(url=url, pool=urllib3.PoolManager(), timeout=5.0, chain_id=5003)
    with pytest.raises(EndpointFailed, match=reason):
        endpoint.post([Request(0, "eth_blockNumber", [])])
