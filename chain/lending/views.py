"""Calls of view functions: how each is asked, and what it returned. Who asks, and at which block, is the caller's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chain.lending.fast_codec import Function, function


@dataclass(frozen=True)
class View:
    """A view function of the contract at `to`, with its arguments."""

    to: str
    function: Function
    args: tuple[Any, ...]

    def request(self, block: object = "latest") -> tuple[str, list[Any]]:
        """The `eth_call` at a block: a tag, a number as 0x-hex, or a reference by hash (EIP-1898)."""
        return "eth_call", [{"to": self.to, "data": self.function.encode(*self.args)}, block]

    def values(self, returned: object) -> tuple[Any, ...]:
        """What the function returned, out of a node's 0x-hex; `Undecodable`, also of nothing."""
        return self.function.decode(returned)

    def value(self, returned: object) -> Any:
        """The same of a function that returns one value."""
        [found] = self.values(returned)
        return found


def view(contract: str, to: str, name: str, *args: object) -> View:
    """`view("MockUSDC", usdc, "balanceOf", owner)`."""
    return View(to, function(contract, name), args)


def requests(views: Sequence[View], block: object = "latest") -> list[tuple[str, list[Any]]]:
    """All of them at one block, for one post."""
    return [each.request(block) for each in views]
