"""Starts a sandbox step by step and keeps it running."""

import hashlib
import os
import time
from dataclasses import dataclass, field

from sandbox import databases, programs, summary
from sandbox import folder as files
from sandbox.folder import PROJECT, Folder
from sandbox.servers import anvil, valkey
from sandbox.servers.ports import LOOPBACK, free_port, is_free
from sandbox.supervisor import Supervisor
from sandbox.terminal import Follower, Terminal
from sandbox.world import Accounts, World

CONFIG = PROJECT / "configs" / "partner_platforms.json"
DEFAULT_RPC_PORT = 8545
HOSTS = ("127.0.0.1", "localhost", "[::1]")  # by which the sandbox is called
# Reads at the finalized block, two behind the head, need these: a saved chain keeps the state of its head only.
BLOCKS_AFTER_RESTART = 3
READY_SECONDS = 60.0


class CannotStart(Exception):
    """A problem that the user can fix: a port in use, a part of the data missing."""


@dataclass(frozen=True)
class Options:
    """What the command line says.

    `yes`: `fresh` does not ask. `db` None: as last time. `block_time` in seconds, 0 for a block per transaction.
    """

    fresh: bool = False
    yes: bool = False
    db: str | None = None
    port: int = 8000
    rpc_port: int | None = None
    block_time: int = 1
    quiet: bool = False
    approvals: bool = False


@dataclass
class Sandbox:
    """One sandbox in one folder, which the caller has locked."""

    folder: Folder
    options: Options
    terminal: Terminal
    values: dict[str, str] = field(default_factory=dict)
    _follower: Follower | None = None

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(self.terminal)

    def start(self) -> None:
        """Up to the summary, with everything ready to be called."""
        self.terminal.say(f"Partner Platform sandbox in {self.folder.root}")
        databases.wait_for_predecessors(self.folder)
        if self.options.fresh:
            self._forget()
        self.folder.rotate_logs()
        self.folder.forget_metrics()
        known, last = files.read_json(self.folder.state), files.read_env(self.folder.env)
        self.engine = self._choose_engine(last)
        self._choose_ports(last)
        with self.terminal.step(f"chain, Redis and {databases.TITLES[self.engine]}"):
            self._start_servers()
        world, accounts = self._prepare(known)
        with self.terminal.step("web server, workers and beat"):
            self._start_programs()
        self._tell(world, accounts)

    def _forget(self) -> None:
        """Start from scratch: delete the folder's chain, books, keys and logs, after a confirmation."""
        if self.folder.holds_anything() and not self.options.yes:
            question = f"--fresh deletes the chain, the database and all keys in {self.folder.root}. Go on? [y/N] "
            agreed = self.terminal.ask(question)
            if agreed is None:
                raise CannotStart(f"--fresh deletes all in {self.folder.root}, and there is nobody to ask: add --yes")
            if not agreed:
                raise CannotStart("nothing was deleted; without --fresh it goes on from where it was")
        self.folder.wipe()

    def watch(self) -> None:
        """Run until something raises: a stop signal, or a process that cannot be restarted."""
        if not self.options.quiet:
            logs = {name: self.folder.log(name) for name in ("web", "worker", "webhooks", "beat")}
            self._follower = Follower(self.terminal, logs).start()
        self.supervisor.watch(stopping=lambda: False)

    def stop(self) -> None:
        """End every process, the chain saving its state."""
        self.supervisor.stop()
        if self._follower is not None:
            self._follower.stop()

    def _choose_engine(self, last: dict[str, str]) -> str:
        """The requested engine, which must be the one of the folder's data."""
        wanted = self.options.db
        if not self.folder.prepared.exists():
            return wanted or databases.SQLITE
        kept = last.get("SANDBOX_DB", databases.SQLITE)
        if wanted not in (None, kept):
            raise CannotStart(
                f"the data in {self.folder.root} is in {databases.TITLES[kept]}, and its chain belongs to it. "
                f"Go on with `make sandbox DB={kept}`, or forget it and begin anew with "
                f'`make sandbox DB={wanted} ARGS="--fresh"` (or keep both: --folder)'
            )
        return kept

    def _choose_ports(self, last: dict[str, str]) -> None:
        self.port = self.options.port or free_port()
        if not is_free(self.port):
            raise CannotStart(f"port {self.port} is in use; give another one with --port")
        self.rpc_port = self.options.rpc_port or _free_or_other(int(last.get("SANDBOX_RPC_PORT", DEFAULT_RPC_PORT)))
        if not is_free(self.rpc_port):
            raise CannotStart(f"port {self.rpc_port} is in use; give another one with --rpc-port")
        self.redis_port = _free_or_other(int(last.get("SANDBOX_REDIS_PORT", free_port())))
        self.database_port = _free_or_other(int(last.get("SANDBOX_DATABASE_PORT", free_port())))
        self.values = {
            "DJANGO_SECRET_KEY": last.get("DJANGO_SECRET_KEY") or files.new_django_secret(),
            "FIELD_ENCRYPTION_KEYS": last.get("FIELD_ENCRYPTION_KEYS") or files.new_encryption_key(),
            "DJANGO_ALLOWED_HOSTS": ",".join(HOSTS),
            "PLATFORM_ENVIRONMENT": "sandbox",
            "DATABASE_URL": databases.database_url(self.engine, self.folder, self.database_port),
            "REDIS_URL": f"redis://{LOOPBACK}:{self.redis_port}/0",
            "CHAIN_ID": str(anvil.CHAIN_ID),
            "CHAIN_RPC_URLS": anvil.rpc_url(self.rpc_port),
            "PROMETHEUS_MULTIPROC_DIR": str(self.folder.metrics),
            "API_LOG_ARCHIVE_DIR": str(self.folder.archive),
            "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",  # a partner's receiver runs on this machine
            "STAFF_SIGN_IN_DOMAINS": ",".join(f"{host}{port}" for host in HOSTS for port in (f":{self.port}", "")),
            "EMAIL_URL": self.folder.mail_url,
            "APPROVALS": "required" if self.options.approvals else "off",
            # With a block per transaction an idle chain stands still, and nothing is wrong.
            "CHAIN_SILENT_SECONDS": "120" if self.options.block_time else "0",
            "SANDBOX_RPC_PORT": str(self.rpc_port),
            "SANDBOX_REDIS_PORT": str(self.redis_port),
            "SANDBOX_DATABASE_PORT": str(self.database_port),
            "SANDBOX_DB": self.engine,
        }
        files.write_env(self.folder.env, {**last, **self.values})

    def _start_servers(self) -> None:
        log = self.folder.log
        chain = anvil.anvil(port=self.rpc_port, log=log("anvil"), state=self.folder.chain)
        redis = valkey.valkey(port=self.redis_port, folder=self.folder.redis, log=log("redis"), persistent=True)
        self.supervisor.add(redis, vital=True)
        self.supervisor.add(chain, vital=True)
        database = databases.server(self.engine, self.folder, self.database_port)
        if database is not None:
            self.supervisor.add(database, vital=True)
            database.wait_ready(seconds=READY_SECONDS)
            databases.prepare_server(self.engine, self.database_port)
        redis.wait_ready(seconds=READY_SECONDS)
        chain.wait_ready(seconds=READY_SECONDS)

    def _prepare(self, known: dict[str, object]) -> tuple[World, Accounts]:
        """Contracts, tables, partners and keys: made the first time, and again where the code asks for more."""
        # Where nothing changed since, everything is there; asking Django would only take seconds.
        fingerprint = _fingerprint()
        told = Accounts.from_state(known)
        has_staff = bool(told.staff) or not self.options.approvals
        if known and has_staff and files.read_text(self.folder.prepared) == fingerprint:
            world, accounts = self._known_world(), told
        else:
            world, accounts = self._prepare_with_django(known)
            files.write_text(self.folder.prepared, fingerprint)
        self.values |= world.environment()
        files.write_env(self.folder.env, self.values)
        if self.options.block_time:
            anvil.rpc(self.rpc_port, "evm_setIntervalMining", self.options.block_time)
        return world, accounts

    def _prepare_with_django(self, known: dict[str, object]) -> tuple[World, Accounts]:
        with self.terminal.step("settings"):
            os.environ.update(programs.environment(self.folder, self.values))
            os.environ["DJANGO_SETTINGS_MODULE"] = "partner_platform.settings"
            import django

            django.setup()
            from sandbox import furnish, platform
        if self.folder.world.exists():
            world = self._known_world()
        else:
            with self.terminal.step("contracts, credit lines and funds on the chain"):
                world = furnish.build_world(partners=platform.partner_ids(CONFIG))
                files.write_json(self.folder.world, world.to_json())
        with self.terminal.step("database"):
            platform.migrate()
        with self.terminal.step("demo partners and staff user"):
            known_accounts = Accounts.from_state(known)
            accounts = platform.open_accounts(config=CONFIG, world=world, known=known_accounts)
            if self.options.approvals:
                accounts = platform.open_staff(accounts, known_accounts)
        return world, accounts

    def _known_world(self) -> World:
        """The last run's world; the chain must still have its contracts."""
        world = World.from_json(files.read_json(self.folder.world))
        code = anvil.rpc(self.rpc_port, "eth_getCode", world.contracts["platformExecutor"], "latest")
        if code == "0x":
            raise CannotStart(f"{self.folder.chain} is not the chain that the other data is about; use --fresh")
        anvil.rpc(self.rpc_port, "anvil_mine", hex(BLOCKS_AFTER_RESTART))
        return world

    def _start_programs(self) -> None:
        env = programs.environment(self.folder, self.values)
        web = self.supervisor.add(programs.web(self.folder, env, self.port))
        worker = self.supervisor.add(programs.worker(self.folder, env, self.redis_port))
        webhooks = self.supervisor.add(programs.webhooks_worker(self.folder, env, self.redis_port))
        self.supervisor.add(programs.beat(self.folder, env))
        web.wait_ready(seconds=READY_SECONDS)
        worker.wait_ready(seconds=READY_SECONDS)
        webhooks.wait_ready(seconds=READY_SECONDS)

    def _tell(self, world: World, accounts: Accounts) -> None:
        told = summary.state(
            world=world,
            accounts=accounts,
            base_url=f"http://{LOOPBACK}:{self.port}",
            rpc_url=anvil.rpc_url(self.rpc_port),
            database_url=self.values["DATABASE_URL"],
        )
        files.write_json(self.folder.state, told)
        self.terminal.say(summary.summary_page(told, self.folder, loan_id=f"loan-{int(time.time())}"))


def _free_or_other(port: int) -> int:
    return port if is_free(port) else free_port()


def _fingerprint() -> str:
    """A hash of what a prepared sandbox depends on: the migrations, the demo partners, the contracts."""
    migrations = [*PROJECT.glob("*/migrations/*.py"), *PROJECT.glob("partner_platform/core/**/migrations/**/*.py")]
    paths = [*migrations, *PROJECT.glob("chain/abi/*.json"), CONFIG]
    parts = [f"{path.relative_to(PROJECT)} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in sorted(paths)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
