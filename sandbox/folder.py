"""The sandbox's folder: what it keeps between runs, and the files others read. Standard library only."""

import base64
import fcntl
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_FOLDER = PROJECT / ".sandbox"
PRIVATE = 0o600


class InUse(Exception):
    """Another sandbox runs in this folder."""


@dataclass(frozen=True)
class Folder:
    """Paths below `root`. `env` is the environment file of every process, `state` is for people and their scripts."""

    root: Path

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def world(self) -> Path:
        return self.root / "world.json"

    @property
    def prepared(self) -> Path:
        return self.root / "prepared"

    @property
    def chain(self) -> Path:
        return self.root / "chain.json"

    @property
    def database(self) -> Path:
        return self.root / "database.sqlite3"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def mongodb(self) -> Path:
        return self.root / "mongodb"

    @property
    def redis(self) -> Path:
        return self.root / "redis"

    @property
    def beat_schedule(self) -> Path:
        return self.root / "beat-schedule"

    @property
    def metrics(self) -> Path:
        return self.root / "metrics"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def mail_url(self) -> str:
        """`EMAIL_URL`: each mail becomes a file. The root is an absolute path, so four slashes in all."""
        return f"filemail:///{quote(str(self.mail))}"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    def lock(self) -> IO[str]:
        """Lock the folder for this process, until the returned file is closed; `InUse` names the process that has
        it.
        """
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        holder = (self.root / "lock").open("a+")
        try:
            fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder.seek(0)
            pid = holder.read().strip() or "unknown"
            holder.close()
            raise InUse(f"a sandbox already runs in {self.root} (process {pid})") from error
        holder.truncate(0)
        holder.write(str(os.getpid()))
        holder.flush()
        return holder

    def holds_anything(self) -> bool:
        """Whether an earlier run left something that `wipe` would delete."""
        return any(path.name != "lock" for path in self.root.iterdir())

    def wipe(self) -> None:
        """Remove everything but the lock: the next start begins anew."""
        for path in self.root.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()

    def forget_metrics(self) -> None:
        """Delete the metrics of earlier runs; only while no process of the sandbox runs."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir(mode=0o700)

    def rotate_logs(self) -> None:
        """Start with empty logs; the last run's are kept as `*.log.1`."""
        for log in (self.root / "logs").glob("*.log"):
            log.replace(log.with_suffix(".log.1"))


def read_env(path: Path) -> dict[str, str]:
    """`NAME=value` lines; nothing where there is no file."""
    if not path.exists():
        return {}
    lines = (line.partition("=") for line in path.read_text().splitlines() if "=" in line and not line.startswith("#"))
    return {name: value for name, _, value in lines}


def write_env(path: Path, values: dict[str, str]) -> None:
    """Write them readable only for the owner: they hold keys."""
    write_text(
        path, "# Written by `manage.py sandbox`.\n" + "".join(f"{name}={value}\n" for name, value in values.items())
    )


def read_json(path: Path) -> dict[str, object]:
    """An object, empty where there is no file."""
    return json.loads(path.read_text()) if path.exists() else {}


def write_json(path: Path, data: dict[str, object]) -> None:
    """Write it for the owner's eyes only."""
    write_text(path, json.dumps(data, indent=2) + "\n")


def new_django_secret() -> str:
    """Long enough for Django's checks."""
    return secrets.token_urlsafe(64)


def new_encryption_key() -> str:
    """A Fernet key."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def read_text(path: Path) -> str:
    """Empty where there is no file."""
    return path.read_text() if path.exists() else ""


def write_text(path: Path, text: str) -> None:
    """Write it readable only for the owner, atomically: a reader finds the old file or the new one."""
    part = path.with_name(f".{path.name}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE), "w") as file:
        file.write(text)
    part.replace(path)
