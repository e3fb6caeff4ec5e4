"""A local EVM chain: anvil, from its npm package."""

import json
import os
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server, ServerError

CHAIN_ID = 5003  # Mantle Sepolia's
BLOCK_GAS_LIMIT = 30_000_000
NPM_BINARY = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
PROJECT = Path(__file__).resolve().parent.parent.parent


class NodeRefused(ServerError):
    """The node answered a JSON-RPC call with an error."""


def anvil(
    *,
    port: int,
    log: Path,
    state: Path | None = None,
    block_time: float | None = None,
    slots_in_epoch: int = 1,
    gas_limit: int = BLOCK_GAS_LIMIT,
    options: Sequence[str] = (),
) -> Server:
    """A chain on the loopback interface.

    It mines a block per transaction, or one every `block_time` seconds. `state` is a file it begins from and is saved
    to, every few seconds and at its end. The finalized block lies two epochs behind the head. `options` are more
    of anvil's own.
    """
    command = [
        anvil_binary(),
        *("--host", LOOPBACK, "--port", str(port), "--chain-id", str(CHAIN_ID), "--gas-limit", str(gas_limit)),
        *("--slots-in-an-epoch", str(slots_in_epoch), "--accounts", "0", "--quiet"),
        *options,
    ]
    if block_time:
        command += ["--block-time", f"{block_time:g}"]
    if state is not None:
        command += ["--state", str(state), "--state-interval", "5"]
    return Server(name="anvil", command=command, log=log, ready=lambda: anvil_is_ready(port), stop_seconds=20.0)


def anvil_binary() -> str:
    """The path of anvil: `ANVIL_BIN`, or where the Makefile installs it."""
    path = Path(os.environ.get("ANVIL_BIN") or PROJECT / ".tools" / "node" / NPM_BINARY)
    if not path.exists():
        raise ServerError(f"anvil is not at {path}: `make tools` installs it, or set ANVIL_BIN")
    return str(path)


def rpc_url(port: int) -> str:
    """The node's JSON-RPC address."""
    return f"http://{LOOPBACK}:{port}"


def rpc(port: int, method: str, *params: object) -> Any:
    """One JSON-RPC call; `NodeRefused` with the node's message where it returns an error."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}).encode()
    request = urllib.request.Request(rpc_url(port), body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    if "error" in answer:
        raise NodeRefused(f"{method}: {answer['error']}")
    return answer["result"]


def anvil_is_ready(port: int) -> bool:
    """Whether the node returns its chain id."""
    try:
        return bool(rpc(port, "eth_chainId"))
    except (OSError, ValueError):
        return False
