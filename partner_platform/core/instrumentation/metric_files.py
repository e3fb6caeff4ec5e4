"""Metrics of several processes, so that each can show the sum: prometheus-client's multiprocess mode, with reusable
places instead of process ids.

Each process counts into memory-mapped files of its own in one folder. prometheus-client names the files after the
process id: there are new ones with each restart, and two processes of two containers that share the folder may have the
same id. Here a process takes the first *place* that no process holds, and continues that place's files. So a counter
loses nothing when its process is killed, the folder never holds more files than processes ran at once, and nothing has
to be cleaned up.

A place is held by a lock on its file (`flock`), which the system releases however the process ends, in whichever
container it ran. Gauges of the kind `live…` tell what a living process sees: they are removed with it.
"""

import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from prometheus_client import values
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Places:
    """The places of one folder, and which of them this process holds."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._pid = 0
        self._name = ""
        self._holder: IO[str] | None = None

    def mine(self) -> str:
        """The name of this process's place, taken at the first call and again after a fork."""
        if self._pid != os.getpid():
            self._take()
        return self._name

    def _take(self) -> None:
        if self._holder is not None:
            self._holder.close()  # the parent's file: it stays locked as long as the parent has it open
        for number in itertools.count():
            holder = _hold(self._folder / f"place-{number}")
            if holder is not None:
                self._pid, self._name, self._holder = os.getpid(), str(number), holder
                self._forget_living(number)
                return

    def collect(self) -> list[Metric]:
        """The metrics of all processes together, ended ones included."""
        for path in self._folder.glob("place-*"):
            holder = _hold(path)
            if holder is not None:
                with holder:
                    self._forget_living(int(path.name.partition("-")[2]))
        return list(MultiProcessCollector.merge(list(self._files())))  # type: ignore[no-untyped-call]

    def _files(self) -> Iterator[str]:
        for path in self._folder.glob("*.db"):
            try:
                if path.stat().st_size:  # empty for the moment between its making and its first use
                    yield str(path)
            except FileNotFoundError:
                continue  # another reader saw that its process has ended

    def _forget_living(self, number: int) -> None:
        for path in self._folder.glob(f"gauge_live*_{number}.db"):
            path.unlink(missing_ok=True)


def _hold(path: Path) -> IO[str] | None:
    """The open, locked file; None where a process holds it, this one included."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def use(folder: str) -> Places | None:
    """Have all metrics that are made from now on count into `folder`, or in memory where it is empty."""
    if not folder:
        os.environ.pop(VARIABLE, None)  # prometheus-client asks whether it is set, not to what
        values.ValueClass = values.MutexValue
        return None
    places = Places(Path(folder))
    os.environ[VARIABLE] = folder
    values.ValueClass = values.MultiProcessValue(places.mine)  # type: ignore[no-untyped-call]
    return places
