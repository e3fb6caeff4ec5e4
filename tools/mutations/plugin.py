"""The pytest plugin of a nursery's runs: a database that is migrated already, and a line for what each test did."""

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

_seconds: defaultdict[str, float] = defaultdict(float)


def pytest_configure() -> None:
    template = Path(os.environ["MUTATIONS_DATABASE"])
    if template.exists():
        _start_from(template)


def _start_from(template: Path) -> None:
    """In the place of Django's making and migrating of a test database."""
    import django.test.utils

    def setup_databases(*_: Any, **__: Any) -> list[Any]:
        from django.conf import settings

        shutil.copy(template, settings.DATABASES["default"]["NAME"])
        return []

    django.test.utils.setup_databases = setup_databases
    django.test.utils.teardown_databases = lambda *_, **__: None


def pytest_runtest_logstart(nodeid: str) -> None:
    _write({"started": nodeid})


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _seconds[report.nodeid] += report.duration
    if report.failed:
        _write({"test": report.nodeid, "failed": report.when, "message": _last_line(report)})
    if report.when == "teardown":
        _write({"test": report.nodeid, "seconds": round(_seconds[report.nodeid], 4)})


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _write({"test": report.nodeid, "failed": "collect", "message": str(report.longrepr)[-300:]})


def _last_line(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash is not None else report.longrepr)[:300]


def _write(event: dict[str, Any]) -> None:
    with Path(os.environ["MUTATIONS_EVENTS"]).open("a") as file:
        file.write(json.dumps(event) + "\n")
