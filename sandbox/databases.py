"""The sandbox's database: a SQLite file, or a PostgreSQL or MongoDB server of the sandbox's own below its folder.

A folder belongs to one engine: its chain and that database's books belong together.
"""

import os
from pathlib import Path

from sandbox.folder import Folder
from sandbox.servers import mongodb, postgres
from sandbox.servers.process import Server, wait_for

SQLITE = "sqlite"
ENGINES = (SQLITE, "postgres", "mongodb")
TITLES = {SQLITE: "SQLite", "postgres": "PostgreSQL", "mongodb": "MongoDB"}
NAME = "platform"
PREDECESSOR_SECONDS = 30.0


def database_url(engine: str, folder: Folder, port: int) -> str:
    """Its `DATABASE_URL`; `port` is the server's, where there is one."""
    if engine == "postgres":
        return postgres.postgres_url(port, NAME)
    if engine == "mongodb":
        return mongodb.mongodb_url(port, NAME)
    return f"sqlite:///{folder.database}"


def server(engine: str, folder: Folder, port: int, *, mongodb_cache_gb: float = 0.5) -> Server | None:
    """The server to start, durable over a crash; None for SQLite."""
    if engine == "postgres":
        if os.geteuid() == 0:
            folder.root.chmod(0o711)  # PostgreSQL's user passes through to its own folder; the files stay closed
        return postgres.postgres(port=port, folder=folder.postgres, log=folder.log("postgres"), durable=True)
    if engine == "mongodb":
        return mongodb.mongodb(port=port, folder=folder.mongodb, log=folder.log("mongodb"), cache_gb=mongodb_cache_gb)
    return None


def prepare_server(engine: str, port: int) -> None:
    """Create the database or replica set on a started server; idempotent."""
    if engine == "postgres":
        postgres.create_database(port, NAME)
    if engine == "mongodb":
        mongodb.initiate(port)


def wait_for_predecessors(folder: Folder) -> None:
    """Wait for servers of a killed sandbox that are still shutting down: they have the data open."""
    for name, pid_file in (
        ("postgres", postgres.pid_file(folder.postgres)),
        ("mongodb", folder.mongodb / "mongod.lock"),
    ):
        wait_for(
            lambda pid_file=pid_file: not _runs(pid_file),  # type: ignore[misc]
            seconds=PREDECESSOR_SECONDS,
            what=f"the last run's {name} ended",
        )


def _runs(pid_file: Path) -> bool:
    """Whether the process named by a server's pid file still uses that folder."""
    try:
        pid = int(pid_file.read_text().split()[0])
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError, IndexError):
        return False
    return str(pid_file.parent) in command.split("\0")
