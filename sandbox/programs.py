"""The platform's own processes as the sandbox runs them: web server, two workers, beat."""

import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable

from sandbox.folder import PROJECT, Folder
from sandbox.servers import valkey
from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server

# A request waits for its settlement on a thread of its own.
WEB_PROCESSES, WEB_THREADS = 2, 32
WEB_GRACE_SECONDS = 5
WORKER_THREADS = 4
# Only the worker of the queue `celery` signs; the other processes do not get the keys in ENV_FILE.
NO_SIGNING_KEYS = {"PLATFORM_PRIVATE_KEY": "", "PLATFORM_RETIRED_PRIVATE_KEYS": ""}


def environment(folder: Folder, values: dict[str, str]) -> dict[str, str]:
    """The environment of every process: the user's, overridden by the sandbox's values."""
    return {
        **os.environ,
        **values,
        "ENV_FILE": str(folder.env),
        "PYTHONUNBUFFERED": "1",
        # Static files come from the apps themselves here; whitenoise misses the folder they are collected in.
        "PYTHONWARNINGS": "ignore:No directory at:UserWarning",
    }


def web(folder: Folder, env: dict[str, str], port: int, *, processes: int = WEB_PROCESSES) -> Server:
    """The platform's own web server, answering once its dependencies do."""
    command = [
        *(sys.executable, "-m", "partner_platform.server", "--bind", f"{LOOPBACK}:{port}"),
        *("--processes", str(processes), "--threads", str(WEB_THREADS), "--grace", str(WEB_GRACE_SECONDS)),
    ]
    return _python(folder, {**env, **NO_SIGNING_KEYS}, "web", command, ready=lambda: is_ready(port))


def worker(folder: Folder, env: dict[str, str], redis_port: int) -> Server:
    """Celery with a pool of threads; ready once it waits for tasks."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "partner_platform.celery", "worker", "--pool", "threads"),
        *("--queues", "celery", "--concurrency", str(WORKER_THREADS), "--loglevel", "WARNING"),
        *("--hostname", "sandbox@localhost", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    return _python(folder, env, "worker", command, ready=lambda: valkey.has_consumers(redis_port))


def webhooks_worker(folder: Folder, env: dict[str, str], redis_port: int) -> Server:
    """Celery for the queue `webhooks`, beside `worker`: the sender of webhooks, which has threads of its own, and
    beside it the sender of e-mails.
    """
    command = [
        *(sys.executable, "-m", "celery", "-A", "partner_platform.celery", "worker", "--pool", "threads"),
        *("--queues", "webhooks", "--concurrency", "2", "--loglevel", "WARNING"),
        *("--hostname", "webhooks@localhost", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    env = {**env, **NO_SIGNING_KEYS}
    return _python(folder, env, "webhooks", command, ready=lambda: valkey.has_consumers(redis_port, count=2))


def beat(folder: Folder, env: dict[str, str]) -> Server:
    """Celery's clock: one process, its schedule kept in the sandbox's folder."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "partner_platform.celery", "beat", "--loglevel", "WARNING"),
        *("--schedule", str(folder.beat_schedule), "--pidfile", ""),
    ]
    return _python(folder, {**env, **NO_SIGNING_KEYS}, "beat", command, ready=lambda: True)


def is_ready(port: int) -> bool:
    """Whether database, Redis and chain answer the web server."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/health/ready", timeout=5) as response:
            return bool(json.load(response)["status"] == "ok")
    except (OSError, ValueError, urllib.error.URLError):
        return False


def _python(folder: Folder, env: dict[str, str], name: str, command: list[str], ready: Callable[[], bool]) -> Server:
    # A worker whose broker has gone takes its time to end, so an orphan is killed: whatever it did goes on at the next
    # start, as after any crash.
    return Server(
        name=name,
        command=command,
        log=folder.log(name),
        env=env,
        cwd=PROJECT,
        stop_seconds=8.0,
        orphan_signal=signal.SIGKILL,
        ready=ready,
    )
