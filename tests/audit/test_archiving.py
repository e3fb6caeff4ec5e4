"""Old calls move into files: each row in exactly one checked file, whatever is killed, and no other way of deleting."""

import datetime as dt
import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from audit.calls import archive_files, archiving
from audit.models import ApiLog, ApiLogArchive, AuditEntry, RefusedCalls
from audit.tasks import archive_api_logs
from audit.trail.sealing import seal_due
from audit.trail.verification import verify_trail
from partner_platform.core import clock
from partner_platform.core.redis import lock
from tests.support.commands import type_command

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.API_LOG_RETENTION_DAYS = 30
    settings.API_LOG_ARCHIVE_DIR = str(tmp_path / "archive")
    return tmp_path / "archive"


def call(days_old: float, path: str = "/partners/loan/1", **columns: Any) -> ApiLog:
    return ApiLog.objects.create(
        **{"status_code": 200, "success": True, **columns},
        endpoint=path,
        method="GET",
        response_time=3,
        request_id="r",
        request_payload={"a": "é"},
        ip_address="203.0.113.9",
        timestamp=clock.now() - dt.timedelta(days=days_old),
    )


def lines(folder: Path, kind: str = "") -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{kind}*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def test_old_calls_move_into_a_file_a_day_and_the_others_stay(folder: Path) -> None:
    young = call(29)
    old = [call(40), call(40), call(50)]
    report = archiving.archive_due()
    assert (report.files, report.rows) == (2, 3)
    assert [row.pk for row in ApiLog.objects.all()] == [young.pk]
    archived = {line["id"]: line for line in lines(folder)}
    assert set(archived) == {row.pk.hex for row in old}
    line = archived[old[0].pk.hex]
    assert (line["endpoint"], line["request_payload"], line["ip_address"]) == (
        "/partners/loan/1",
        {"a": "é"},
        "203.0.113.9",
    )
    assert len(line) == len(ApiLog._meta.concrete_fields)
    assert archiving.archive_due().rows == 0


def test_each_file_has_its_checksum_beside_it_in_the_database_and_in_the_trail(folder: Path) -> None:
    call(40)
    archiving.archive_due()
    (path,) = folder.glob("*.jsonl.gz")
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    archive = ApiLogArchive.objects.get()
    assert (archive.sha256, archive.file_name, archive.rows, archive.is_deleted) == (checksum, path.name, 1, True)
    assert (folder / f"{path.name}.sha256").read_text() == f"{checksum}  {path.name}\n"
    entry: Any = AuditEntry.objects.get(action="api_log.archived")
    assert (entry.after["sha256"], entry.after["rows"]) == (checksum, 1)


def test_without_a_period_nothing_is_archived_and_without_a_folder_nothing_is_deleted(settings: Any) -> None:
    call(4_000)
    settings.API_LOG_RETENTION_DAYS = settings.API_LOG_REFUSED_RETENTION_DAYS = 0
    settings.API_LOG_ARCHIVE_DIR = ""
    assert archiving.archive_due().rows == 0
    settings.API_LOG_RETENTION_DAYS = 30
    with pytest.raises(archiving.NotConfigured):
        archiving.archive_due()
    assert ApiLog.objects.count() == 1


def test_a_file_that_is_not_what_was_written_deletes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(40)
    write = archive_files.write_archive

    def write_badly(where: Path, name: str, rows: Any) -> str:
        checksum = write(where, name, rows)
        (where / name).write_bytes(b"")
        return checksum

    monkeypatch.setattr(archive_files, "write_archive", write_badly)
    with pytest.raises(archive_files.ArchiveDamaged):
        archiving.archive_due()
    assert ApiLog.objects.count() == 1


class Killed(BaseException):
    """As a process that is no more."""


@pytest.mark.parametrize("place", ["before the record", "before the deletion", "amid the deletion", "before the mark"])
def test_killed_anywhere_each_call_ends_in_exactly_one_recorded_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(archiving, "ROWS_A_DELETE", 2)
    old = {call(40).pk.hex for _ in range(5)}

    def die(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        if place == "before the record":
            patched.setattr(ApiLogArchive, "save", die)
        elif place == "before the deletion":
            patched.setattr(archiving, "_delete_archived", die)
        elif place == "amid the deletion":
            patched.setattr(archiving, "sleep", die)
        else:
            patched.setattr("django.db.models.QuerySet.update", die)
        archiving.archive_due()
    report = archiving.archive_due()
    assert ApiLog.objects.count() == 0
    assert not ApiLogArchive.objects.filter(is_deleted=False).exists()
    recorded = [
        archive_files.read_ids(folder, archive.file_name, archive.sha256) for archive in ApiLogArchive.objects.all()
    ]
    assert sorted(key for ids in recorded for key in ids) == sorted(old)
    assert report.files == (1 if place == "before the record" else 0)


def test_calls_are_logged_on_while_it_archives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "ROWS_A_DELETE", 1)
    for _ in range(3):
        call(40)
    monkeypatch.setattr(archiving, "sleep", lambda _: call(0, "/partners/new"))
    archiving.archive_due()
    assert [row.endpoint for row in ApiLog.objects.all()] == ["/partners/new"] * 3


def test_the_commands_archive_and_check(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call(20)
    type_command("archive_api_logs")
    type_command("archive_api_logs", days=10)
    type_command("archive_api_logs", check=True)
    assert capsys.readouterr().out.splitlines() == [
        "0 calls archived into 0 files",
        "1 calls archived into 1 files",
        "every archive is whole",
    ]
    next(folder.glob("*.gz")).unlink()
    with pytest.raises(CommandError, match="1 archives are damaged"):
        type_command("archive_api_logs", check=True)


def test_one_archiver_at_a_time(folder: Path) -> None:
    call(40)
    with lock.held("api-log-archiver", seconds=60, without_redis=False):
        assert archiving.archive_due().busy
    assert archiving.archive_due().rows == 1


def test_refused_calls_of_unknown_callers_and_their_counts_leave_sooner_and_the_trail_verifies(
    folder: Path, settings: Any
) -> None:
    settings.API_LOG_RETENTION_DAYS, settings.API_LOG_REFUSED_RETENTION_DAYS = 400, 30
    refused = [call(40, success=False, status_code=401), call(500, success=False, status_code=404)]
    old = [call(401, partner_id="partner_1"), call(401)]
    kept = [
        call(40),  # a public reading that was answered
        call(40, success=False, partner_id="partner_1"),
        call(29, success=False, status_code=401),
        call(399, partner_id="partner_1"),
    ]
    for days in (29, 31):
        moment = clock.now() - dt.timedelta(days=days)
        RefusedCalls.objects.create(timestamp=moment, address="203.0.113.9", calls=days)

    report = archiving.archive_due()

    assert (report.files, report.rows) == (4, 5)
    assert {row.pk for row in ApiLog.objects.all()} == {row.pk for row in kept}
    assert [row.calls for row in RefusedCalls.objects.all()] == [29]
    assert {line["id"] for line in lines(folder, "api-log")} == {row.pk.hex for row in refused + old}
    [count] = lines(folder, "refused-calls")
    assert (count["address"], count["calls"]) == ("203.0.113.9", 31)
    assert archiving.damaged_archives() == []
    assert AuditEntry.objects.filter(action="api_log.archived").count() == 4
    assert seal_due().entries == 4
    assert verify_trail(with_anchors=False).findings == []


@pytest.mark.parametrize(("calls", "refused", "left"), [(0, 30, {401: 1, 200: 2}), (400, 0, {401: 2, 200: 1})])
def test_either_period_may_be_for_ever(folder: Path, settings: Any, calls: int, refused: int, left: Any) -> None:
    settings.API_LOG_RETENTION_DAYS, settings.API_LOG_REFUSED_RETENTION_DAYS = calls, refused
    for days in (10, 100):
        call(days, success=False, status_code=401)
    for days in (100, 500):
        call(days)
    archiving.archive_due()
    assert Counter(row.status_code for row in ApiLog.objects.all()) == left


def test_without_a_folder_the_task_warns_and_deletes_nothing(settings: Any, caplog: pytest.LogCaptureFixture) -> None:
    call(4_000)
    settings.API_LOG_RETENTION_DAYS, settings.API_LOG_ARCHIVE_DIR = 400, ""
    assert archive_api_logs() == 0
    assert "API_LOG_ARCHIVE_DIR names no folder" in caplog.text
    assert ApiLog.objects.count() == 1
