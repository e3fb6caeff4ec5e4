"""What the sandbox keeps between runs."""

import stat
from pathlib import Path

import environ
import pytest

from sandbox.folder import Folder, InUse, read_env, read_json, write_env, write_json


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "sandbox")


def test_one_sandbox_at_a_time_runs_in_a_folder(folder: Folder) -> None:
    with folder.lock(), pytest.raises(InUse, match=r"already runs in .* \(process \d+\)"):
        folder.lock()

    folder.lock().close()


def test_wiping_forgets_everything_and_keeps_the_lock(folder: Folder) -> None:
    with folder.lock():
        write_json(folder.state, {"old": True})
        folder.log("web").parent.mkdir()
        folder.log("web").write_text("old")

        folder.wipe()

        assert [path.name for path in folder.root.iterdir()] == ["lock"]
        with pytest.raises(InUse):
            folder.lock()


def test_the_environment_is_read_back_as_it_was_written(folder: Folder) -> None:
    folder.root.mkdir()
    values = {"DATABASE_URL": "sqlite:////tmp/x.sqlite3", "CHAIN_RPC_URLS": "http://127.0.0.1:1/?a=b"}

    write_env(folder.env, values)

    assert read_env(folder.env) == values
    assert read_env(folder.root / "nothing") == {}


def test_mails_become_files_of_the_folder_whatever_it_is_called(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "a b%41#c?d")
    settings = environ.Env.email_url_config(folder.mail_url)
    assert settings["EMAIL_BACKEND"] == "django.core.mail.backends.filebased.EmailBackend"
    assert settings["EMAIL_FILE_PATH"] == str(tmp_path / "a b%41#c?d" / "mail")


def test_files_with_keys_are_for_their_owner_only(folder: Folder) -> None:
    with folder.lock():
        write_env(folder.env, {"PLATFORM_PRIVATE_KEY": "0x1"})
        write_json(folder.state, {"apiKey": "pk"})
        write_json(folder.state, {"apiKey": "pk2"})

    assert stat.S_IMODE(folder.env.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.state.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert read_json(folder.state) == {"apiKey": "pk2"}


def test_a_new_run_begins_new_logs_and_keeps_the_last_ones(folder: Folder) -> None:
    log = folder.log("worker")
    log.parent.mkdir(parents=True)
    log.write_text("last run")

    folder.rotate_logs()

    assert not log.exists()
    assert log.with_suffix(".log.1").read_text() == "last run"
