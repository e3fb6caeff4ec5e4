"""Bringing a sandbox up, step by step, and keeping it up."""

import os
import time
from dataclasses import dataclass, field

from sandbox import folder as files
from sandbox import programs
from sandbox.folder import PROJECT, Folder
from sandbox.servers import anvil, valkey
from sandbox.servers.ports import LOOPBACK, free_port, is_free
from sandbox.supervisor import Supervisor
from sandbox.terminal import Follower, Terminal
from sandbox.world import World

CONFIG = PROJECT / "configs" / "partner_platforms.json"
DEFAULT_RPC_PORT = 8545
# Reads at the finalized block, two behind the head, need these: a saved chain keeps the state of its head only.
BLOCKS_AFTER_RESTART = 3
READY_SECONDS = 60.0


class CannotStart(Exception):
    """Something that a person can put right: a port in use, half of the data gone."""


@dataclass(frozen=True)
class Options:
    """What the command line says. `block_time` in seconds, 0 for a block per transaction."""

    fresh: bool = False
    port: int = 8000
    rpc_port: int | None = None
    block_time: int = 1
    quiet: bool = False


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
        if self.options.fresh:
            self.folder.wipe()
        self.folder.rotate_logs()
        known = files.read_json(self.folder.state)
        self._choose_ports(files.read_env(self.folder.env))
        with self.terminal.step("chain and Redis"):
            self._start_servers()
        world = self._prepare(known)
        with self.terminal.step("web server, worker and beat"):
            self._start_programs()
        self._tell(world)

    def watch(self) -> None:
        """Until something raises: a signal, or a process that cannot be helped."""
        if not self.options.quiet:
            logs = {name: self.folder.log(name) for name in ("web", "worker", "beat")}
            self._follower = Follower(self.terminal, logs).start()
        self.supervisor.watch(stopping=lambda: False)

    def stop(self) -> None:
        """End every process, the chain saving its state."""
        self.supervisor.stop()
        if self._follower is not None:
            self._follower.stop()

    def _choose_ports(self, last: dict[str, str]) -> None:
        self.port = self.options.port or free_port()
        if not is_free(self.port):
            raise CannotStart(f"port {self.port} is in use; give another one with --port")
        self.rpc_port = self.options.rpc_port or _free_or_other(int(last.get("SANDBOX_RPC_PORT", DEFAULT_RPC_PORT)))
        if not is_free(self.rpc_port):
            raise CannotStart(f"port {self.rpc_port} is in use; give another one with --rpc-port")
        self.redis_port = _free_or_other(int(last.get("SANDBOX_REDIS_PORT", free_port())))
        self.values = {
            "DJANGO_SECRET_KEY": last.get("DJANGO_SECRET_KEY") or files.new_secret(),
            "DJANGO_ALLOWED_HOSTS": "127.0.0.1,localhost,[::1]",
            "PLATFORM_ENVIRONMENT": "sandbox",
            "DATABASE_URL": f"sqlite:///{self.folder.database}",
            "REDIS_URL": f"redis://{LOOPBACK}:{self.redis_port}/0",
            "CHAIN_ID": str(anvil.CHAIN_ID),
            "CHAIN_RPC_URLS": anvil.url(self.rpc_port),
            "SANDBOX_RPC_PORT": str(self.rpc_port),
            "SANDBOX_REDIS_PORT": str(self.redis_port),
        }
        files.write_env(self.folder.env, {**last, **self.values})

    def _start_servers(self) -> None:
        log = self.folder.log
        chain = anvil.anvil(port=self.rpc_port, log=log("anvil"), state=self.folder.chain)
        redis = valkey.valkey(port=self.redis_port, folder=self.folder.redis, log=log("redis"), persistent=True)
        self.supervisor.add(redis, vital=True)
        self.supervisor.add(chain, vital=True)
        redis.wait_ready(seconds=READY_SECONDS)
        chain.wait_ready(seconds=READY_SECONDS)

    def _prepare(self, known: dict[str, object]) -> World:
        """Contracts, tables, partners and keys: made the first time, found the next."""
        os.environ.update(programs.environment(self.folder, self.values))
        os.environ["DJANGO_SETTINGS_MODULE"] = "partner_platform.settings"
        with self.terminal.step("settings"):
            import django

            django.setup()
            from sandbox import platform
        world = self._world()
        self.values |= world.environment()
        files.write_env(self.folder.env, self.values)
        with self.terminal.step("database"):
            platform.migrate()
        with self.terminal.step("demo partners and staff user"):
            self.accounts = platform.open_accounts(config=CONFIG, world=world, known=known)
        return world

    def _world(self) -> World:
        from sandbox.furnish import build_world
        from sandbox.platform import partner_ids

        saved = files.read_json(self.folder.world)
        if not saved:
            with self.terminal.step("contracts, credit lines and funds on the chain"):
                world = build_world(partners=partner_ids(CONFIG))
                files.write_json(self.folder.world, world.to_json())
        else:
            world = World.from_json(saved)
            executor = world.contracts["platformExecutor"]
            if anvil.rpc(self.rpc_port, "eth_getCode", executor, "latest") == "0x":
                raise CannotStart(f"the chain in {self.folder.chain} is not the one of the other data; use --fresh")
            anvil.rpc(self.rpc_port, "anvil_mine", hex(BLOCKS_AFTER_RESTART))
        if self.options.block_time:
            anvil.rpc(self.rpc_port, "evm_setIntervalMining", self.options.block_time)
        return world

    def _start_programs(self) -> None:
        env = programs.environment(self.folder, self.values)
        web = self.supervisor.add(programs.web(self.folder, env, self.port))
        worker = self.supervisor.add(programs.worker(self.folder, env, self.redis_port))
        self.supervisor.add(programs.beat(self.folder, env))
        web.wait_ready(seconds=READY_SECONDS)
        worker.wait_ready(seconds=READY_SECONDS)

    def _tell(self, world: World) -> None:
        from sandbox import summary

        told = summary.state(
            world=world,
            accounts=self.accounts,
            base_url=f"http://{LOOPBACK}:{self.port}",
            rpc_url=anvil.url(self.rpc_port),
        )
        files.write_json(self.folder.state, told)
        self.terminal.say(summary.page(told, self.folder, loan_id=f"loan-{int(time.time())}"))


def _free_or_other(port: int) -> int:
    return port if is_free(port) else free_port()
