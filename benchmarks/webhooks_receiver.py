"""A receiver that costs little: it answers 200 to every POST and notes which event came when; `/hang` never answers.

    python -m benchmarks.webhooks_receiver PORT

`GET /count/PATH` and `GET /arrivals/PATH` say what was posted to `/PATH`.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from contextlib import suppress

arrivals: dict[str, list[tuple[str, float]]] = defaultdict(list)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection; requests come one after the other, each with a Content-Length."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(headers.get("content-length", "0")))
            method, path, _ = head[0].split(" ")
            text = answer(method, path, headers)
            if text is not None:
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
    writer.close()


def answer(method: str, path: str, headers: dict[str, str]) -> str | None:
    """The body; None where nothing is answered."""
    if method == "POST":
        arrivals[path].append((headers.get("webhook-id", ""), time.time()))
        return None if path == "/hang" else ""
    if path.startswith("/count"):
        return str(len(arrivals[path.removeprefix("/count")]))
    return json.dumps(arrivals[path.removeprefix("/arrivals")])


async def main() -> None:
    """Serve until it is killed."""
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
