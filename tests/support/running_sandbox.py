"""A real sandbox for journeys: its processes, its API over HTTP, its chain over JSON-RPC."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import decode

from chain.lending.encoding import encode_call
from sandbox.servers.ports import free_port
from tests.support.waiting import eventually

PROJECT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 120
STOP_SECONDS = 40
# What tests set for themselves must not reach a sandbox of its own.
FOREIGN = (
    *("TEST_", "PYTEST_", "DATABASE_URL", "REDIS_URL", "CHAIN_", "DJANGO_", "PLATFORM_", "ENV_FILE", "LOG_LEVEL"),
    *("METRICS_", "PROMETHEUS_", "RATE_LIMIT_", "REFUSED_CALL_", "PARTNER_THREADS", "WAITING_THREADS"),
)


@dataclass
class RunningSandbox:
    """`start` returns when the summary was shown; `stop` when the supervisor has ended."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> "RunningSandbox":
        screen = self.folder.with_suffix(".out")
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        env = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        ports = ("--port", str(free_port()), "--rpc-port", str(free_port()))
        command = [sys.executable, "manage.py", "sandbox", "--folder", str(self.folder), *ports, *options]
        with screen.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env, cwd=PROJECT)
        process = self.process
        eventually(lambda: process.poll() is not None or "Ctrl-C" in screen.read_text(), START_SECONDS)
        assert process.poll() is None, screen.read_text()
        return self

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """The exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    @property
    def state(self) -> dict[str, Any]:
        """state.json, as anybody's script reads it."""
        return dict(json.loads((self.folder / "state.json").read_text()))

    def children(self) -> dict[int, str]:
        """Process ids and command lines of what runs below the supervisor."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                parent, line = _parent_and_command(entry)
                if parent == self.process.pid:
                    found[int(entry.name)] = line
        return found

    def pid_of(self, word: str) -> int | None:
        """The child with this word in its command line."""
        return next((pid for pid, line in self.children().items() if word in line.split("\0")), None)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one call by the first demo partner."""
        request = urllib.request.Request(
            self.state["baseUrl"] + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": f"Bearer {self.state['partners'][0]['apiKey']}",
                "Content-Type": "application/json",
                **headers,
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=40) as response:
                return response.status, json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def borrow(self, loan_id: str, base_units: int, user: int = 0, **headers: str) -> tuple[int, dict[str, Any]]:
        holder = self.state["users"][user]
        body = {
            "oaidTokenId": holder["oaidTokenId"],
            "userWallet": holder["wallet"],
            "borrowAmount": str(base_units),
            "partnerLoanId": loan_id,
        }
        return self.call("POST", "/partners/borrow", body, **headers)

    def repay(self, loan_id: str, base_units: int, **headers: str) -> tuple[int, dict[str, Any]]:
        body = {"partnerLoanId": loan_id, "repaymentAmount": str(base_units)}
        return self.call("POST", "/partners/repay", body, **headers)

    def loan(self, loan_id: str) -> dict[str, Any]:
        """The loan; a partner over its rate limit waits for its next free second, as a good client does."""

        def read() -> dict[str, Any] | None:
            status, body = self.call("GET", f"/partners/loan/{loan_id}")
            return None if status == 429 else body

        return eventually(read, 70, every=1.0) or {}

    def read(self, contract: str, signature: str, args: list[Any], returns: list[str]) -> tuple[Any, ...]:
        """A contract's view at the head of the chain."""
        call = {"to": self.state["contracts"][contract], "data": encode_call(signature, args)}
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
        request = urllib.request.Request(
            self.state["rpcUrl"], json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return decode(returns, bytes.fromhex(json.load(response)["result"][2:]))

    def money(self, user: int = 0) -> dict[str, int]:
        """Who has what, by the chain alone, in base units."""
        state = self.state
        holder = state["users"][user]
        return {
            "settlement": self.usdc(state["partners"][0]["settlementAddress"]),
            "platform": self.usdc(state["platformAccount"]),
            "debt": self.read("solvencyVault", "debtOf(uint256)", [holder["positionId"]], ["uint256"])[0],
            "credit used": self.read(
                "oaid", "getCreditLine(uint256)", [holder["oaidTokenId"]], ["uint256", "uint256", "bool"]
            )[1],
        }

    def usdc(self, address: str) -> int:
        return int(self.read("usdc", "balanceOf(address)", [address], ["uint256"])[0])


def exists(pid: int) -> bool:
    """A running process; a zombie has ended."""
    parent, _ = _parent_and_command(Path("/proc") / str(pid))
    return parent is not None


def _parent_and_command(entry: Path) -> tuple[int | None, str]:
    try:
        state, parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[:2]
        line = (entry / "cmdline").read_text()
    except (OSError, ValueError):
        return None, ""
    return (None, "") if state == "Z" else (int(parent), line)
