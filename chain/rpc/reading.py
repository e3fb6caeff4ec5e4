"""Reads that a caller of the API waits for: a node's refusal becomes a 503, never a 500."""

from typing import Any

from chain.rpc.clients import ChainUnavailable, RpcError, get_client


def read_from_chain(*calls: tuple[str, list[object]]) -> list[Any]:
    """The results of a batch from one node. Raises `ChainUnavailable` where it refuses one, or none answers."""
    results = get_client().batch(calls)
    for result in results:
        if isinstance(result, RpcError):
            raise ChainUnavailable(f"The chain refused a reading: {result.message[:100]}") from result
    return results


def read_everywhere(method: str, params: list[object]) -> list[Any]:
    """What every reachable node answers to the same call, nothing (null) left out; at least one answer.

    For what a single lagging or forked node could spoil. Raises `ChainUnavailable` where no node is reachable, or none
    has an answer.
    """
    found = [answer for answer in get_client().everywhere(method, params) if answer is not None]
    if not found:
        raise ChainUnavailable("No node answers a reading")
    return found
