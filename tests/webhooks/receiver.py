"""A receiver of webhooks in a process of its own, as a partner would write one: it verifies, and keeps books.

    python -m tests.webhooks.receiver PORT SECRET SEED

Each post is verified with the package `standardwebhooks` and with plain HMAC; it is refused with 400 where one of them
fails. The path says how it behaves: `/ok` takes everything; `/wild` fails three posts of ten by 500, 302, 429 with
Retry-After, closing half-way or never answering, each event at most `FAILURES_EACH` times; `/gone` is 410; `/hang`
never answers. `GET /books` returns what was taken, in order, as JSON.
"""

import asyncio
import hashlib
import hmac
import json
import random
import sys
import time
from collections import Counter
from typing import Any

from standardwebhooks import Webhook

FAILURES_EACH = 2
FAILING = 0.3
ASKED_FOR_SECONDS = "0"  # the rest of a second: the tests' time runs a thousand times as fast
EVIL = ("500", "302", "429", "close", "hang")


class Books:
    def __init__(self, secret: str, seed: int) -> None:
        self.secret = secret
        self.random = random.Random(seed)  # noqa: S311 - a fixed history, not a secret
        self.failures: Counter[tuple[str, str]] = Counter()
        self.taken: list[dict[str, Any]] = []
        self.refused: list[str] = []
        self.behaved: Counter[str] = Counter()

    def to_json(self) -> bytes:
        books = {"taken": self.taken, "refused": self.refused, "behaved": self.behaved}
        return json.dumps(books).encode()

    def verify(self, body: bytes, headers: dict[str, str]) -> None:
        Webhook(self.secret).verify(body, headers)
        key = self.secret.encode()
        digest = hmac.new(key, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(headers["x-webhook-signature"], f"sha256={digest}"):
            raise ValueError("x-webhook-signature")
        if abs(time.time() - int(headers["x-webhook-timestamp"]) / 1000) > 300:
            raise ValueError("x-webhook-timestamp")

    def behaviour(self, path: str, event: str) -> str:
        if path == "/gone":
            return "410"
        if path == "/hang":
            return "hang"
        if path == "/wild" and self.failures[path, event] < FAILURES_EACH and self.random.random() < FAILING:
            self.failures[path, event] += 1
            return self.random.choice(EVIL)
        return "200"


async def serve(books: Books, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while (request := await _request(reader)) is not None:
            if not await _answer(books, writer, *request):
                return
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _request(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes] | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return first.split(" ")[1], headers, body


async def _answer(books: Books, writer: asyncio.StreamWriter, path: str, headers: dict[str, str], body: bytes) -> bool:
    """Whether the connection stays open."""
    if path == "/books":
        return await _send(writer, "200 OK", books.to_json())
    try:
        books.verify(body, headers)
    except Exception as error:  # noqa: BLE001 - whatever it is, the post is refused
        books.refused.append(repr(error))
        return await _send(writer, "400 Bad Request")
    behaviour = books.behaviour(path, headers["webhook-id"])
    books.behaved[behaviour] += 1
    if behaviour == "hang":
        await asyncio.sleep(3600)
    if behaviour == "close":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        return False
    if behaviour == "200":
        event = json.loads(body)
        taken = {"path": path, "id": event["id"], "loan": event["partnerLoanId"], "sequence": event["sequence"]}
        books.taken.append({**taken, "at": time.time(), "body": hashlib.sha256(body).hexdigest()})
    extra = {"302": "Location: http://127.0.0.1:1/\r\n", "429": f"Retry-After: {ASKED_FOR_SECONDS}\r\n"}
    return await _send(writer, f"{behaviour} Such", b"an answer", extra.get(behaviour, ""))


async def _send(writer: asyncio.StreamWriter, status: str, body: bytes = b"", extra: str = "") -> bool:
    writer.write(f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    return True


async def main() -> None:
    port, secret, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    books = Books(secret, seed)
    server = await asyncio.start_server(lambda reader, writer: serve(books, reader, writer), "127.0.0.1", port)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
