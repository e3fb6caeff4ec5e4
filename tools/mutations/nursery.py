"""A process that runs pytest again and again in one copy of the project: `python -m tools.mutations.nursery FOLDER`.

What takes long is done once: importing the packages of others, and migrating a database. For each run it forks a child
that imports the project's own modules as they are on the disk by then, copies the database and starts servers of its
own. Requests and answers are lines of JSON on stdin and stdout.

Whatever a run leaves behind is gone before the next one: a child in time-out is killed with all its descendants.
"""

import contextlib
import ctypes
import dataclasses
import importlib
import importlib.metadata
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent.parent
# Imported before the fork: large, and the same whatever the settings are.
LARGE_PACKAGES = frozenset(
    {
        *("_pytest", "pytest", "hypothesis", "schemathesis", "jsonschema", "faker", "factory", "requests", "urllib3"),
        *(
            "web3",
            "eth_account",
            "eth_abi",
            "eth_utils",
            "coincurve",
            "cryptography",
            "aiohttp",
            "pydantic",
            "websockets",
        ),
        *("celery", "kombu", "redis", "valkey", "pymongo", "psycopg", "yaml", "rich", "pygments", "httpx"),
    }
)
MEMORY_BYTES = 6 * 2**30
PR_SET_CHILD_SUBREAPER = 36
POLL_SECONDS = 0.02
TAIL = 4_000


@dataclasses.dataclass(frozen=True)
class Run:
    """What pytest was told to do, and what came of it. `code` is pytest's own; None after a time-out."""

    code: int | None
    seconds: float
    events: list[dict[str, Any]]
    output: str

    @property
    def failed(self) -> list[tuple[str, str]]:
        """The tests that failed, each with the last line of its failure."""
        return [(event["test"], event["message"]) for event in self.events if event.get("failed")]

    @property
    def durations(self) -> dict[str, float]:
        """Seconds by test, its set-up included."""
        return {event["test"]: event["seconds"] for event in self.events if "seconds" in event}


class Nursery:
    """The process as its owner holds it. `copy` is the copy of the project, `folder` its own place for files."""

    def __init__(self, copy: Path, folder: Path, env: Mapping[str, str] | None = None) -> None:
        self.copy = copy
        folder.mkdir(parents=True, exist_ok=True)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "DJANGO_"))}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tools.mutations.nursery", str(folder)],
            cwd=copy,
            env={**inherited, **(env or {}), **_environment(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._answer()

    def pytest(self, arguments: Sequence[str], *, limit: float, env: Mapping[str, str] | None = None) -> Run:
        """Run pytest there; after `limit` seconds it is killed."""
        assert self._process.stdin is not None
        request = {"arguments": list(arguments), "limit": limit, "env": dict(env or {})}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Run(**self._answer())

    def close(self) -> None:
        """End it; a run under way is killed."""
        self._process.terminate()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the nursery in {self.copy} ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _environment(folder: Path) -> dict[str, str]:
    return {
        "TMPDIR": str(folder),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "HYPOTHESIS_EXTEND_INITIALIZATION": "1",  # it is imported long before its plugin, which may not mind
    }


def main() -> None:
    folder = Path(sys.argv[1])
    sys.path[:0] = [] if str(PROJECT) in sys.path else [str(PROJECT)]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: _end())
    sys.dont_write_bytecode = False
    _in_a_child(lambda: _list_modules(folder), folder / "modules.log")
    _in_a_child(lambda: _make_database(folder), folder / "database.log")
    _import_large_packages(folder)
    assert threading.active_count() == 1, "a thread does not survive a fork"
    # A changed file has a time of its own, so nothing stale is read; and nothing changed is written.
    sys.dont_write_bytecode = True
    _say({"code": 0, "seconds": 0.0, "events": [], "output": ""})
    for line in sys.stdin:
        _say(_run(folder, **json.loads(line)))


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _run(folder: Path, arguments: list[str], limit: float, env: dict[str, str]) -> dict[str, Any]:
    events, output = folder / "events.jsonl", folder / "output.txt"
    events.write_text("")
    settings = {"MUTATIONS_EVENTS": str(events), "MUTATIONS_DATABASE": str(folder / "template.sqlite3"), **env}
    began = time.monotonic()
    pid = _fork(lambda: _pytest(arguments, settings), output)
    code = _wait(pid, began + limit)
    _kill_descendants()
    for left in folder.glob("partner-platform-tests-*"):
        shutil.rmtree(left, ignore_errors=True)
    return {
        "code": code,
        "seconds": time.monotonic() - began,
        "events": [json.loads(line) for line in events.read_text().splitlines()],
        "output": output.read_text(errors="replace")[-TAIL:],
    }


def _pytest(arguments: list[str], settings: dict[str, str]) -> int:
    import pytest

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, resource.RLIM_INFINITY))
    os.environ |= settings
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, "-p", "tools.mutations.plugin", *arguments]))


def _list_modules(folder: Path) -> int:
    """What a run of all tests imports, in that order; the bytecode of all of it is written on the way."""
    import pytest

    code = int(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider"]))
    (folder / "modules.txt").write_text("\n".join(name for name in sys.modules if name.split(".")[0] in LARGE_PACKAGES))
    return code


def _make_database(folder: Path) -> int:
    """The database of the tests as the migrations make it. Only SQLite's is a file to copy."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings
    from django.db import connections
    from django.test.utils import setup_databases

    if os.environ.get("DB") in (None, "", "sqlite"):
        setup_databases(verbosity=0, interactive=False)
        connections.close_all()
        shutil.copy(settings.DATABASES["default"]["NAME"], folder / "template.sqlite3")
    shutil.rmtree(settings.TEST_FOLDER)
    return 0


def _import_large_packages(folder: Path) -> None:
    """What cannot be imported without settings is left to the children."""
    warnings.simplefilter("ignore")  # each pytest sets its own filters
    for name in (folder / "modules.txt").read_text().split():
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def _in_a_child(act: Callable[[], int], log: Path) -> None:
    code = _wait(_fork(act, log), time.monotonic() + 600)
    if code:
        raise RuntimeError(f"exit code {code}: {log.read_text(errors='replace')[-TAIL:]}")


def _fork(act: Callable[[], int], output: Path) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with output.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = act()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the child ends here, whatever it was
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _wait(pid: int, deadline: float) -> int | None:
    """The child's exit code; None where it had to be killed."""
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(POLL_SECONDS)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def _kill_descendants() -> None:
    """Orphans come to this process, so its children are all there is."""
    while children := list(_children()):
        for pid in children:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            os.waitpid(pid, 0)


def _children() -> Iterator[int]:
    yield from map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def _end() -> None:
    _kill_descendants()
    os._exit(0)


if __name__ == "__main__":
    main()
