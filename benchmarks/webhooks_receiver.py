"""A receiver that costs little: it answers 200 to every POST and notes which event came when; `/hang` never answers.

    python -m benchmarks.webhooks_receiver PORT

`GET /count/PATH` and `GET /arrivals/PATH` say what was posted to `/PATH`.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict

arrivals: dict[str, list[tuple[str, float]]] = defaultdict(list)


class Receiver(asyncio.Protocol):
    """One connection; requests come one after the other, each with a Content-Length."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            method_path, *lines = self._received[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            after = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < after:
                return
            self._received = self._received[after:]
            method, path, _ = method_path.split(" ")
            self._answer(method, path, headers)

    def _answer(self, method: str, path: str, headers: dict[str, str]) -> None:
        text = ""
        if method == "POST":
            arrivals[path].append((headers.get("webhook-id", ""), time.time()))
            if path == "/hang":
                return
        elif path.startswith("/count"):
            text = str(len(arrivals[path.removeprefix("/count")]))
        elif path.startswith("/arrivals"):
            text = json.dumps(arrivals[path.removeprefix("/arrivals")])
        self._transport.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())


async def main() -> None:
    """Serve until it is killed."""
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
