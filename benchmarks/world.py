"""One fresh anvil of 2 s blocks and 30 M gas, one Redis, one database, and the platform's processes for a benchmark."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox import databases
from sandbox.folder import Folder
from sandbox.servers import anvil, valkey
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.servers.process import Server

BLOCK_SECONDS = 2.0
MONGODB_CACHE_GB = 2.0  # a small server's; as it comes it takes half the machine's memory


@dataclass(frozen=True)
class Bench:
    """Where everything listens; `web` is the base URL once the platform runs."""

    folder: Path
    anvil_port: int
    web_port: int
    redis_port: int
    servers: dict[str, Server] = field(default_factory=dict)

    @property
    def web(self) -> str:
        return f"http://{LOOPBACK}:{self.web_port}"


@contextmanager
def running_servers(
    engine: str = databases.SQLITE,
    *,
    folder: Path | None = None,
    first_block: int | None = None,
) -> Iterator[Bench]:
    """Start anvil, Redis and the database, point the environment at them and set Django up; all ends with the block.

    `folder` is kept afterwards, with the chain (None: a temporary one). The chain begins at `first_block`.
    """
    with ExitStack() as stack:
        state = None if folder is None else folder.resolve() / "chain.json"
        if folder is None:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="partner-platform-bench-")))
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        bench = Bench(folder, free_port(), free_port(), free_port())
        _prepare_environment(bench)
        os.environ["DATABASE_URL"] = _start_database(bench, engine, stack)
        redis = valkey.valkey(port=bench.redis_port, folder=folder / "redis", log=folder / "redis.log").start()
        stack.callback(redis.stop)
        bench.servers["redis"] = redis
        chain = anvil.anvil(
            port=bench.anvil_port,
            log=folder / "anvil.log",
            state=state,
            options=() if first_block is None else ("--number", str(first_block)),
        ).start()
        stack.callback(chain.stop)
        bench.servers["anvil"] = chain
        import django

        django.setup()
        yield bench


@contextmanager
def running_platform(bench: Bench) -> Iterator[dict[str, Server]]:
    """The web server, one Celery worker and beat, as the sandbox runs them; by name."""
    from sandbox import programs

    folder = Folder(bench.folder)
    with ExitStack() as stack:
        servers = [
            programs.web(folder, dict(os.environ), bench.web_port, processes=2),
            programs.worker(folder, dict(os.environ), bench.redis_port),
            programs.beat(folder, dict(os.environ)),
        ]
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield {server.name: server for server in servers}


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far (Linux)."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(stat.parent.name) == pid or int(fields[1]) == pid:
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def _start_database(bench: Bench, engine: str, stack: ExitStack) -> str:
    """As durable as in production; answers its URL."""
    folder, port = Folder(bench.folder), free_port()
    server = databases.server(engine, folder, port, mongodb_cache_gb=MONGODB_CACHE_GB)
    if server is not None:
        stack.callback(server.stop)
        server.start()
        databases.prepare_server(engine, port)
        bench.servers["database"] = server
    return databases.database_url(engine, folder, port)


def _prepare_environment(bench: Bench) -> None:
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
        "DJANGO_SECRET_KEY": "only-for-benchmarks-0123456789-0123456789-0123456789",
        "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItYmVuY2htYXJrcy0zMi1ieXRlcy1rZXk=",
        "DJANGO_ALLOWED_HOSTS": LOOPBACK,
        "PLATFORM_ENVIRONMENT": "sandbox",
        "CHAIN_ID": str(anvil.CHAIN_ID),
        "CHAIN_RPC_URLS": anvil.rpc_url(bench.anvil_port),
        "REDIS_URL": f"redis://{LOOPBACK}:{bench.redis_port}/0",
        "LOG_LEVEL": "WARNING",
        # The ceiling knows no limit for an account either (Mantle: 16 pending ones; a second wallet doubles it).
        "CHAIN_MAX_IN_FLIGHT": "40",
        "RATE_LIMIT_ENTERPRISE": "1000000",  # counted as ever, and not what is measured
    }
