"""PostgreSQL for the tests: the machine's own initdb and postgres, run as an ordinary user in a folder of their own."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server, ServerError

SUPERUSER = "platform"
ORDINARY_USERS = ("postgres", "nobody")


def postgres(*, port: int, folder: Path) -> Server:
    """A server on the loopback interface, trusting everybody there; `folder` must be reachable for an ordinary user."""
    user = _ordinary_user()
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    if not data.exists():
        _initialize(data, user)
    command = [
        binary("postgres"),
        *("-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", str(folder)),
        *("-c", "fsync=off", "-c", "max_connections=200", "-c", "full_page_writes=off"),
    ]
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM waits for clients to leave.
    return Server(
        name="postgres",
        command=command,
        log=folder.with_suffix(".log"),
        ready=lambda: _answers(port),
        user=user,
        cwd=folder,
        stop_signal=signal.SIGINT,
    )


def url(port: int, database: str) -> str:
    """Its `DATABASE_URL`."""
    return f"postgres://{SUPERUSER}@{LOOPBACK}:{port}/{database}"


def binary(name: str) -> str:
    """The newest `name` on this machine: on the path, or where Debian keeps it."""
    if path := shutil.which(name):
        return path
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ServerError(f"no {name} on this machine: install PostgreSQL (Debian: apt-get install postgresql)")
    return str(found[-1])


def _answers(port: int) -> bool:
    """Whether it takes queries; it accepts connections a little before."""
    import psycopg

    try:
        psycopg.connect(url(port, "postgres"), connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _initialize(data: Path, user: str | None) -> None:
    command = [
        binary("initdb"),
        "-D",
        str(data),
        "-U",
        SUPERUSER,
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--locale=C",
        "--no-sync",
    ]
    group = pwd.getpwnam(user).pw_gid if user else None
    done = subprocess.run(
        command,
        capture_output=True,
        user=user,
        group=group,
        extra_groups=[] if user else None,
        cwd=data.parent,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")


def _ordinary_user() -> str | None:
    """None: run as whoever we are. PostgreSQL refuses to run as root, so root picks somebody else."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ORDINARY_USERS:
        if name in known:
            return name
    raise ServerError(f"PostgreSQL does not run as root, and there is no user {' or '.join(ORDINARY_USERS)}")
