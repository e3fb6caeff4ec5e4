"""What an attacker without a key sends: slow connections and refused requests, from a process of the lowest priority.

    python -m benchmarks.flood PORT [--seconds 60] [--rate 500] [--slow 200] [--addresses 1]

Each request has a connection of its own: no key, a made-up one, an unknown path, 8 KiB of JSON to one, in turn. Half of
the slow connections send half of a head and then a byte now and then, half of them a head that promises a body and then
the same; one that the server ends is opened again. Prints one line of JSON: answers by status, and connections lost.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from sandbox.servers.ports import LOOPBACK

AUTOGROUP = Path("/proc/self/autogroup")
ANSWER_SECONDS = 30.0
DRIP_SECONDS = 2.0
LOST = "lost"


def _be_nice() -> None:
    """Give way to everybody; Linux weighs sessions before processes (sched(7), autogroup)."""
    os.nice(19)
    if AUTOGROUP.exists():
        AUTOGROUP.write_text("19")


def main() -> int:
    """Send for so long, tell what came back."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second (%(default)g)")
    parser.add_argument("--slow", type=int, default=200, help="slow connections (%(default)d)")
    parser.add_argument("--addresses", type=int, default=1, help="loopback addresses that it comes from (%(default)d)")
    options = parser.parse_args()
    _be_nice()
    print(json.dumps(asyncio.run(_flood(options))), flush=True)
    return 0


async def _flood(options: argparse.Namespace) -> dict[str, int]:
    answers: Counter[str] = Counter()
    ends = time.monotonic() + options.seconds
    slow = [asyncio.create_task(_slow(options.port, number, ends, answers)) for number in range(options.slow)]
    asked: set[asyncio.Task[None]] = set()
    began, sent = time.monotonic(), 0
    while (now := time.monotonic()) < ends:
        while sent < (now - began) * options.rate:
            task = asyncio.create_task(_ask(options.port, _request(sent), _address(sent, options.addresses), answers))
            asked.add(task)
            task.add_done_callback(asked.discard)
            sent += 1
        await asyncio.sleep(0.01)
    await asyncio.gather(*asked, *slow)
    return dict(answers)


async def _ask(port: int, request: bytes, address: str, answers: Counter[str]) -> None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(LOOPBACK, port, local_addr=(address, 0))
            writer.write(request)
            head = await reader.readline()
            answers[head.split()[1].decode() if head else LOST] += 1
            writer.close()
    except (OSError, TimeoutError, IndexError):
        answers[LOST] += 1


async def _slow(port: int, number: int, ends: float, answers: Counter[str]) -> None:
    """Hold one connection open, half of a head or half of a body; when it is ended, the next."""
    head = f"POST /partners/borrow HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n".encode()
    begin = head if number % 2 else head + b"Content-Length: 60000\r\n\r\n{"
    drip = b"X" if number % 2 else b" "
    while time.monotonic() < ends:
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.write(begin)
            answers["slow connections"] += 1
            while time.monotonic() < ends and not reader.at_eof():
                writer.write(drip)
                await writer.drain()
                try:
                    async with asyncio.timeout(DRIP_SECONDS):
                        await reader.read(65_536)
                except TimeoutError:
                    continue
            writer.close()
        except OSError:
            await asyncio.sleep(0.1)


def _request(number: int) -> bytes:
    kind = number % 4
    key = f"Authorization: Bearer pk_flood_sandbox_{number:032d}\r\n" if kind == 1 else ""
    if kind < 2:
        return f"GET /partners/my/stats HTTP/1.1\r\nHost: {LOOPBACK}\r\n{key}Connection: close\r\n\r\n".encode()
    if kind == 2:
        return f"GET /partners/nothing/{number} HTTP/1.1\r\nHost: {LOOPBACK}\r\nConnection: close\r\n\r\n".encode()
    body = json.dumps({f"a{index}": "x" * 150 for index in range(48)}).encode()
    head = (
        f"POST /partners/nothing HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


def _address(number: int, addresses: int) -> str:
    place = number // 4 % addresses
    return f"127.0.{1 + place // 250}.{1 + place % 250}"


if __name__ == "__main__":
    sys.exit(main())
