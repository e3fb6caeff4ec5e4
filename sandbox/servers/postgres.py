"""PostgreSQL for sandbox and tests: the machine's own initdb and postgres, run by an ordinary user in its folder."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

from sandbox.servers.ports import LOOPBACK
from sandbox.servers.process import Server, ServerError

SUPERUSER = "platform"
ORDINARY_USERS = ("postgres", "nobody")


def postgres(*, port: int, folder: Path, log: Path | None = None, durable: bool = False) -> Server:
    """A server on the loopback interface without passwords; `folder` must be reachable for an ordinary user.

    Without `durable` fsync is off: faster, but a power cut loses data.
    """
    user = _ordinary_user()
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        _require_way_for(user, folder)
        shutil.chown(folder, user)
    data = folder / "data"
    if not data.exists():
        _initialize(data, user, durable=durable)
    command = [
        postgres_binary("postgres"),
        *("-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", "", "-c", "max_connections=200"),
    ]
    if not durable:
        command += ["-c", "fsync=off", "-c", "full_page_writes=off"]
    # SIGINT is PostgreSQL's fast shutdown; SIGTERM waits for clients to leave.
    return Server(
        name="postgres",
        command=command,
        log=log or folder.with_suffix(".log"),
        ready=lambda: _answers(port),
        user=user,
        cwd=folder,
        stop_signal=signal.SIGINT,
        orphan_signal=signal.SIGINT,
    )


def postgres_url(port: int, database: str) -> str:
    """Its `DATABASE_URL`."""
    return f"postgres://{SUPERUSER}@{LOOPBACK}:{port}/{database}"


def create_database(port: int, name: str) -> None:
    """Make the database on a running server; harmless where it is."""
    import psycopg
    from psycopg import sql

    with (
        psycopg.connect(postgres_url(port, "postgres"), autocommit=True) as connection,
        suppress(psycopg.errors.DuplicateDatabase),
    ):
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def pid_file(folder: Path) -> Path:
    """Where the server of `folder` leaves its process id while it runs."""
    return folder / "data" / "postmaster.pid"


def postgres_binary(name: str) -> str:
    """The newest `name` on this machine: on the path, or where Debian keeps it."""
    if path := shutil.which(name):
        return path
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    if not found:
        raise ServerError(f"no {name} on this machine: install PostgreSQL (Debian: apt-get install postgresql)")
    return str(found[-1])


def _answers(port: int) -> bool:
    """Whether it accepts queries; it accepts connections a little earlier."""
    import psycopg

    try:
        psycopg.connect(postgres_url(port, "postgres"), connect_timeout=1).close()
    except psycopg.OperationalError:
        return False
    return True


def _initialize(data: Path, user: str | None, *, durable: bool) -> None:
    part = data.with_name("data.part")  # interrupted, it is begun anew
    shutil.rmtree(part, ignore_errors=True)
    command = [
        *(postgres_binary("initdb"), "-D", str(part), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"),
        *("--locale=C", *([] if durable else ["--no-sync"])),
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
    part.rename(data)


def _require_way_for(user: str, folder: Path) -> None:
    for path in [*folder.parents]:
        if not path.stat().st_mode & stat.S_IXOTH and path.owner() != user:
            raise ServerError(
                f"PostgreSQL does not run as root, so it runs as {user} here, who may not pass through {path}: "
                "run this as an ordinary user, or in another folder"
            )


def _ordinary_user() -> str | None:
    """The user to run as; None: the current one. PostgreSQL refuses to run as root, so root runs it as another user."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in ORDINARY_USERS:
        if name in known:
            return name
    raise ServerError(f"PostgreSQL does not run as root, and there is no user {' or '.join(ORDINARY_USERS)}")
