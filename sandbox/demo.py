"""`make demo`: a loan is borrowed and repaid on the running sandbox, call by call, each printed as a line for curl.

The balances that it prints are read from the chain itself, not from the platform.
"""

import argparse
import json
import shlex
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from partner_platform.core.money import BASE_UNITS_PER_DOLLAR
from sandbox.folder import DEFAULT_FOLDER, Folder, read_json
from sandbox.terminal import Terminal

DESCRIPTION = "Borrow and repay on the running sandbox, each call shown as a line for curl."
LOAN = 5_000 * BASE_UNITS_PER_DOLLAR
CALL_SECONDS = 60  # a borrow waits for its settlement
BALANCE_OF = "0x70a08231"  # the selector of ERC-20's balanceOf(address)


class DemoFailed(Exception):
    """The reason, for the person who ran it."""


class Demo:
    """The first demo partner lends to the first user of a sandbox that runs."""

    def __init__(self, state: dict[str, Any], terminal: Terminal) -> None:
        self._state = state
        self._partner = state["partners"][0]
        self._user = state["users"][0]
        self._terminal = terminal

    def run(self) -> None:
        """Borrow, read, repay, read; `DemoFailed` at the first unexpected response."""
        loan_id, user = f"demo-{uuid4().hex[:12]}", self._user
        self._say(
            f"{self._partner['partnerId']} lends to {user['wallet']}, who holds the credit line {user['oaidTokenId']}."
        )
        self._call("What may the user borrow?", "GET", f"/partners/public/oaid/{user['oaidTokenId']}/credit-line")
        before = self._settlement_balance()

        request = {
            "oaidTokenId": user["oaidTokenId"],
            "userWallet": user["wallet"],
            "borrowAmount": str(LOAN),
            "partnerLoanId": loan_id,
        }
        self._call(
            f"Borrow {dollars(LOAN)}; the answer comes once the chain has it.", "POST", "/partners/borrow", request
        )
        borrowed = self._settlement_balance()
        self._say(f"The partner's settlement address received {dollars(borrowed - before)}: the loan less the fee.")

        self._call("The loan, as the books have it.", "GET", f"/partners/loan/{loan_id}")
        repayment = {"partnerLoanId": loan_id, "repaymentAmount": str(LOAN)}
        self._call(
            f"Repay {dollars(LOAN)}, by the allowance of the settlement address.", "POST", "/partners/repay", repayment
        )
        self._say(f"The settlement address paid {dollars(borrowed - self._settlement_balance())}.")

        loan = self._call("The loan again.", "GET", f"/partners/loan/{loan_id}")
        self._say(f"The loan {loan_id} is {loan['status']}. Staff see it at {self._state['consoleUrl']}.")

    def _call(self, why: str, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, object]:
        headers = {"Authorization": f"Bearer {self._partner['apiKey']}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url, data = self._state["baseUrl"] + path, json.dumps(body) if body is not None else None
        self._say(why)
        self._terminal.say("\n" + curl(url, headers, data) + "\n")
        status, answer = ask(method, url, headers, data)
        self._terminal.say(f"{status} {json.dumps(answer, indent=2)}")
        if status >= 400:
            raise DemoFailed(f"{method} {path} was answered {status}: {answer.get('message', answer)}")
        return answer

    def _settlement_balance(self) -> int:
        address = self._partner["settlementAddress"]
        call = {"to": self._state["contracts"]["usdc"], "data": BALANCE_OF + address[2:].lower().rjust(64, "0")}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
        _, answer = ask("POST", self._state["rpcUrl"], {"Content-Type": "application/json"}, json.dumps(asked))
        return int(answer["result"], 16)

    def _say(self, text: str) -> None:
        self._terminal.say(f"\n# {text}")


def curl(url: str, headers: dict[str, str], body: str | None) -> str:
    """The same call as a line to paste into a shell."""
    words = ["curl", "-sS", url]
    for name, value in headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join(words + ([] if body is None else ["-d", body]))


def ask(method: str, url: str, headers: dict[str, str], body: str | None) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a call; `DemoFailed` where there is no response."""
    request = urllib.request.Request(url, None if body is None else body.encode(), headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=CALL_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError as error:
        raise DemoFailed(f"nobody answers at {url} ({error}); does `make sandbox` run?") from error


def dollars(base_units: int) -> str:
    """`$4,975.00`."""
    return f"${base_units / BASE_UNITS_PER_DOLLAR:,.2f}"


def demo_options() -> argparse.ArgumentParser:
    """The options, without `--help`: a parent for parsers that have it."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="the sandbox's (%(default)s)")
    return parser


def main(arguments: Sequence[str]) -> int:
    """0 when the loan is repaid; 1 with the reason after an unexpected response."""
    parser = argparse.ArgumentParser(prog="manage.py demo", description=DESCRIPTION, parents=[demo_options()])
    folder, terminal = Folder(parser.parse_args(arguments).folder.resolve()), Terminal()
    try:
        Demo(_state(folder), terminal).run()
    except DemoFailed as error:
        terminal.say(f"\nThe demo stops: {error}")
        return 1
    return 0


def _state(folder: Folder) -> dict[str, object]:
    state = read_json(folder.state)
    if not state:
        raise DemoFailed(f"there is no sandbox in {folder.root}: run `make sandbox` first")
    return state


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
