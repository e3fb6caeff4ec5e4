"""What several processes count together: nothing is lost with a process, nothing is counted twice, nothing piles up."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from partner_platform.core.instrumentation import metric_files
from partner_platform.core.instrumentation.metric_files import Places

# A process that counts what it is told: `refusals UNKNOWN 3` adds 3, `head node 17` sets, `fork` goes on in a child. It
# reads the module alone, by its path: the platform around it would take most of the time.
COUNTING = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("metric_files", sys.argv[2])
metric_files = importlib.util.module_from_spec(spec)
spec.loader.exec_module(metric_files)
places = metric_files.use(sys.argv[1])
from prometheus_client import Counter, Gauge, Histogram
plain = Counter("plain_total", "h")
refusals = Counter("refusals_total", "h", ["meaning"])
seconds = Histogram("seconds", "h", buckets=[1, 2])
head = Gauge("head", "h", ["node"], multiprocess_mode="livemostrecent")
last = Gauge("last", "h", multiprocess_mode="mostrecent")
for line in sys.stdin:
    act, *words = line.split()
    if act == "plain": plain.inc(float(words[0]))
    if act == "refusals": refusals.labels(words[0]).inc(float(words[1]))
    if act == "seconds": seconds.observe(float(words[0]))
    if act == "head": head.labels(words[0]).set(float(words[1]))
    if act == "last": last.set(float(words[0]))
    if act == "fork" and (child := os.fork()):
        os.waitpid(child, 0)
        continue
    print(places.mine(), flush=True)
"""


class Counting:
    """The process; `place` is the one it holds."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(folder), metric_files.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.place = self.do("plain 0")

    def do(self, line: str) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.process.send_signal(number)
        self.process.communicate()


@contextmanager
def counting(folder: Path) -> Iterator[Counting]:
    process = Counting(folder)
    try:
        yield process
    finally:
        process.end()


def figures(folder: Path) -> dict[str, float]:
    """Every sample on the page: `name` or `name value-of-its-label`."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for metric in Places(folder).collect()
        for sample in metric.samples
    }


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_processes_that_run_at_once_have_places_of_their_own_and_one_sum(tmp_path: Path) -> None:
    with counting(tmp_path) as first, counting(tmp_path) as second:
        assert (first.place, second.place) == ("0", "1")
        for process, count in ((first, 2), (second, 3)):
            process.do(f"plain {count}")
            process.do(f"refusals UNKNOWN {count}")
            process.do(f"seconds {count}")

        found = figures(tmp_path)

    assert (found["plain_total"], found["refusals_total UNKNOWN"]) == (5, 5)
    buckets = [found[f"seconds_bucket {bound}"] for bound in ("1.0", "2.0", "+Inf")]
    assert (buckets, found["seconds_sum"], found["seconds_count"]) == ([0, 1, 2], 5, 2)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ends_leaves_its_counts_and_the_next_one_goes_on_with_them(
    tmp_path: Path, number: signal.Signals
) -> None:
    with counting(tmp_path) as living:
        living.do("plain 1")
        for _ in range(4):
            process = Counting(tmp_path)
            assert process.place == "1"
            process.do("plain 10")
            process.do("refusals UNKNOWN 1")
            process.end(number)

        assert figures(tmp_path)["plain_total"] == 41
        assert figures(tmp_path)["refusals_total UNKNOWN"] == 4
        assert {name.rpartition("_")[2] for name in files(tmp_path) if name.endswith(".db")} == {"0.db", "1.db"}


def test_a_place_in_the_middle_is_taken_again(tmp_path: Path) -> None:
    processes = [Counting(tmp_path) for _ in range(3)]
    processes[1].end()
    with counting(tmp_path) as next_one:
        assert next_one.place == "1"
    for process in (processes[0], processes[2]):
        process.end()


def test_what_only_a_living_process_sees_goes_with_it_and_the_rest_stays(tmp_path: Path) -> None:
    with counting(tmp_path) as first, counting(tmp_path) as second:
        first.do("head a 7")
        second.do("head a 9")
        second.do("head b 9")
        second.do("last 5")
        assert (figures(tmp_path)["head a"], figures(tmp_path)["head b"]) == (9, 9)  # the one that was set last

        second.end()

        found = figures(tmp_path)
        assert (found["head a"], found["last"]) == (7, 5)
        assert "head b" not in found


def test_the_next_process_at_a_place_does_not_speak_for_the_last_one(tmp_path: Path) -> None:
    with counting(tmp_path) as process:
        process.do("head a 7")
    with counting(tmp_path) as process:
        assert process.place == "0"
        process.do("head b 8")
        assert {name: value for name, value in figures(tmp_path).items() if "head" in name} == {"head b": 8}


def test_a_forked_process_takes_a_place_and_its_parents_stays_taken(tmp_path: Path) -> None:
    with counting(tmp_path) as parent:
        parent.do("plain 1")
        assert parent.do("fork") == "1"  # the child's; the parent waits
        assert parent.do("plain 10") == "1"
        with counting(tmp_path) as other:
            assert other.place == "2"
        assert figures(tmp_path)["plain_total"] == 11


def test_a_file_that_was_only_just_made_is_no_trouble(tmp_path: Path) -> None:
    with counting(tmp_path) as process:
        process.do("plain 1")
        (tmp_path / "counter_7.db").touch()
        assert figures(tmp_path)["plain_total"] == 1


def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    Places(tmp_path / "run" / "metrics")
    assert (tmp_path / "run" / "metrics").stat().st_mode & 0o777 == 0o700


def test_reading_beside_processes_that_come_and_go_never_loses_a_count(tmp_path: Path) -> None:
    """The sum is read again and again while processes count, end and are followed by others: it never falls."""
    seen: list[Any] = []
    with counting(tmp_path) as steady:
        for _ in range(5):
            steady.do("plain 1")
            process = Counting(tmp_path)
            for _ in range(3):
                process.do("plain 1")
                seen.append(figures(tmp_path)["plain_total"])
            process.end()
            seen.append(figures(tmp_path)["plain_total"])
    assert seen == sorted(seen)
    assert seen[-1] == 20
