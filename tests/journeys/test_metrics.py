"""The figures of two web processes, a worker and beat on one page: they add up, and no restart loses any of them."""

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from prometheus_client.parser import text_string_to_metric_families

from partner_platform.celery import app
from sandbox import programs
from sandbox.folder import Folder
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.servers.process import Server
from tests.journeys.conftest import running
from tests.support.chain import Chain
from tests.support.process_groups import kill_group
from tests.support.waiting import eventually

pytestmark = [pytest.mark.journey]

TOKEN = "a-token-of-the-journey-with-32-characters"
TASK = "partners.tasks.sweep_idempotency_keys"  # beat asks for it every ten minutes, so the test's are the only ones
CALLS, TASKS = 60, 12
PROCESSES = 5  # the web server's first, which loads the platform for its two; worker and beat
FRESH_SECONDS = 20  # the page is kept for five seconds by each web process


@dataclass(frozen=True)
class Scraped:
    """A platform with a folder for its figures, and what Prometheus would see of it."""

    port: int
    folder: Path
    servers: dict[str, Server]

    def page(self, authorization: str | None = f"Bearer {TOKEN}") -> tuple[int, str]:
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.port}/metrics")
        if authorization is not None:
            request.add_header("Authorization", authorization)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def figure(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name with these labels."""
        status, text = self.page()
        assert status == 200
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def not_found(self) -> float:
        return self.figure("django_http_responses_total_by_status_total", status="404")

    def tasks(self, state: str = "SUCCESS") -> float:
        return self.figure("celery_tasks_total", task=TASK, state=state)

    def ask(self, number: int) -> None:
        """A call that is answered 404, on a connection of its own."""
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://{LOOPBACK}:{self.port}/nowhere/{number}", timeout=20)
        assert refused.value.code == 404
        refused.value.close()


@pytest.fixture
def scraped(chain: Chain, transactional_db: None) -> Iterator[Scraped]:
    """Two web processes, a worker and beat."""
    folder, port = Folder(settings.TEST_FOLDER / "scraped"), free_port()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(folder.metrics),
        "METRICS_TOKEN": TOKEN,
    }
    servers = {
        "web": programs.web(folder, environment, port, processes=2),
        "worker": programs.worker(folder, environment, settings.TEST_REDIS_PORT),
        "beat": programs.beat(folder, environment),
    }
    with running(servers):
        yield Scraped(port, folder.metrics, servers)


def test_counters_of_all_processes_add_up_and_no_restart_loses_any(scraped: Scraped) -> None:
    asked, run, web = 0, 0, scraped.servers["web"]

    def everything_again() -> None:
        nonlocal asked, run
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(scraped.ask, range(CALLS)))
        for _ in range(TASKS):
            app.send_task(TASK)
        asked, run = asked + CALLS, run + TASKS

    def all_is_told() -> bool:
        return (scraped.not_found(), scraped.tasks()) == (asked, run)

    everything_again()
    eventually(all_is_told, FRESH_SECONDS, every=0.5)
    assert len(web_processes_that_answered(scraped)) == 2

    # The web server replaces what is killed of its own.
    children = set(children_of(web.pid))
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(children_of(web.pid)) - children) == 2, 20)
    assert all_is_told()

    published = eventually(lambda: scraped.figure("celery_tasks_published_total"), FRESH_SECONDS, every=0.5)
    for server in scraped.servers.values():
        kill_group(server)
    for server in scraped.servers.values():
        server.launch()
    for server in scraped.servers.values():
        server.wait_ready()
    assert all_is_told()
    assert scraped.figure("celery_tasks_published_total") >= published

    everything_again()
    eventually(all_is_told, FRESH_SECONDS, every=0.5)
    eventually(lambda: scraped.figure("celery_tasks_published_total") > published, FRESH_SECONDS, every=0.5)
    assert scraped.tasks("FAILURE") == 0
    # The folder does not grow with restarts: some 13 processes ran; one may have been still ending when another began.
    assert len(list(scraped.folder.glob("counter_*.db"))) in (PROCESSES, PROCESSES + 1)


def test_the_page_tells_what_the_database_knows_and_a_scrape_with_the_wrong_token_is_refused(scraped: Scraped) -> None:
    status, text = scraped.page()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert status == 200
    assert {sample.labels["state"] for sample in families["settlement_operations"].samples} >= {"QUEUED", "BUNDLED"}
    assert [sample.value for sample in families["settlement_wallet_frozen"].samples] == [0]
    assert [sample.value for sample in families["settlement_reorgs"].samples] == [0]
    assert "reconciliation_discrepancies" in families
    assert scraped.page("Bearer " + TOKEN[::-1])[0] == 404
    assert scraped.page("Bearer")[0] == 404
    assert scraped.page(None)[0] == 200  # from this machine, as the sandbox allows


def web_processes_that_answered(scraped: Scraped) -> list[str]:
    """The files in which calls of this test are counted."""
    return [path.name for path in scraped.folder.glob("counter_*.db") if b'"status": "404"' in path.read_bytes()]


def children_of(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, ppid = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(ppid) == parent and state != "Z":
            found.append(int(stat.parent.name))
    return found
