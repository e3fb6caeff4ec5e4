"""The command line, up to where processes start."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import cli
from sandbox.folder import PROJECT, Folder
from sandbox.servers.ports import LOOPBACK, free_port
from sandbox.start import Options, Sandbox
from sandbox.terminal import Terminal


def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

        code = main_with_signals_restored(["--folder", str(tmp_path / "sandbox"), "--port", str(port)])

    assert code == 1
    assert f"port {port} is in use; give another one with --port" in capsys.readouterr().out
    assert not Folder(tmp_path / "sandbox").chain.exists()


def test_partners_urls_may_reach_this_machine_and_no_other_inside(tmp_path: Path) -> None:
    sandbox = Sandbox(Folder(tmp_path), Options(port=free_port()), Terminal())
    sandbox.engine = "sqlite"
    sandbox._choose_ports({})
    assert sandbox.values["WEBHOOK_ALLOWED_NETWORKS"] == "127.0.0.0/8,::1/128"


def test_a_second_sandbox_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Folder(tmp_path).lock():
        code = main_with_signals_restored(["--folder", str(tmp_path), "--port", "0"])

    assert code == 1
    assert "a sandbox already runs in" in capsys.readouterr().out


@pytest.fixture
def used_folder(tmp_path: Path) -> Folder:
    """A folder that a run has left something in."""
    folder = Folder(tmp_path / "sandbox")
    with folder.lock():
        folder.state.write_text("{}")
    return folder


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Somebody at the keyboard: the first of the list is what he answers; what he was asked is put behind it."""
    answers: list[str] = []

    def ask(question: str) -> str:
        answers.append(question)
        return answers.pop(0)

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", ask)
    return answers


def start_fresh(folder: Folder, *options: str) -> int:
    """As far as to the port, which is taken."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = str(taken.getsockname()[1])
        return main_with_signals_restored(["--fresh", "--folder", str(folder.root), "--port", port, *options])


def test_fresh_deletes_nothing_where_there_is_nobody_to_ask(
    used_folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start_fresh(used_folder) == 1
    assert "and there is nobody to ask: add --yes" in capsys.readouterr().out
    assert used_folder.state.exists()


@pytest.mark.parametrize("answer", ["", "n", "no", "yess"])
def test_fresh_deletes_nothing_where_the_answer_is_not_yes(
    used_folder: Folder, person: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    person.append(answer)
    assert start_fresh(used_folder) == 1
    assert person == [f"--fresh deletes the chain, the database and all keys in {used_folder.root}. Go on? [y/N] "]
    assert "nothing was deleted" in capsys.readouterr().out
    assert used_folder.state.exists()


@pytest.mark.parametrize("answer", ["y", "YES "])
def test_fresh_deletes_where_the_answer_is_yes(used_folder: Folder, person: list[str], answer: str) -> None:
    person.append(answer)
    start_fresh(used_folder)
    assert not used_folder.state.exists()


def test_fresh_does_not_ask_where_it_is_told_yes_or_where_there_is_nothing(
    used_folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start_fresh(used_folder, "--yes")
    assert not used_folder.state.exists()
    start_fresh(Folder(tmp_path / "new"))
    assert "nobody to ask" not in capsys.readouterr().out


@pytest.mark.parametrize("environment", [{}, {"DJANGO_SETTINGS_MODULE": "tests.settings"}])
def test_help_lists_the_sandbox_with_and_without_an_environment(environment: dict[str, str]) -> None:
    """Where there is no environment Django cannot list the commands of apps."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "manage.py", "help"]
    told = subprocess.run(command, env=kept | environment, capture_output=True, text=True, cwd=PROJECT, check=True)
    assert "[sandbox]\n" in told.stdout
    assert "\n    sandbox\n" in told.stdout
    assert "\n    demo\n" in told.stdout


@pytest.mark.parametrize(("command", "option"), [("sandbox", "--fresh"), ("demo", "--folder")])
@pytest.mark.parametrize("environment", [{}, {"DJANGO_SETTINGS_MODULE": "tests.settings"}])
def test_help_of_the_sandbox_and_its_demo_needs_no_environment(
    environment: dict[str, str], command: str, option: str
) -> None:
    told = subprocess.run(
        [sys.executable, "manage.py", "help", command],
        env=environment,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        check=True,
    )
    assert option in told.stdout


def main_with_signals_restored(arguments: list[str]) -> int:
    import signal

    before = {number: signal.getsignal(number) for number in cli.STOP_SIGNALS}
    try:
        return cli.main(arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
