"""When the blocks of logs were made, by the logs themselves or by their blocks' headers."""

from typing import Any

from chain.rpc.clients import ChainClient, ChainUnavailable, RpcError
from chain.rpc.log_ranges import HEADERS_PER_POST, LogRange, header_calls


def block_times(client: ChainClient, found: LogRange) -> dict[str, int]:
    """Seconds since the epoch, by block hash; headers that the range lacks are read.

    Raises `ChainUnavailable`, also where the chain replaced one of the blocks meanwhile.
    """
    times = {log["blockHash"]: int(log["blockTimestamp"], 16) for log in found.logs if log.get("blockTimestamp")}
    headers = [*found.headers.values(), *_missing_headers(client, found)]
    times |= {header["hash"]: int(header["timestamp"], 16) for header in headers}
    if any(log["blockHash"] not in times for log in found.logs):
        raise ChainUnavailable("The chain moved while it was read")
    return times


def _missing_headers(client: ChainClient, found: LogRange) -> list[Any]:
    """Headers of the blocks whose logs carry no time."""
    numbers = {int(log["blockNumber"], 16) for log in found.logs if not log.get("blockTimestamp")}
    wanted = sorted(numbers - set(found.headers))
    headers: list[Any] = []
    for start in range(0, len(wanted), HEADERS_PER_POST):
        for header in client.batch(header_calls(wanted[start : start + HEADERS_PER_POST])):
            if header is None or isinstance(header, RpcError):
                raise ChainUnavailable("The node lags behind")
            headers.append(header)
    return headers
