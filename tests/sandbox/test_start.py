"""The command line, up to where processes start."""

import socket
from pathlib import Path

import pytest

from sandbox import cli
from sandbox.folder import Folder
from sandbox.servers.ports import LOOPBACK


def test_a_port_in_use_is_named_with_the_way_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]

        code = main_with_signals_restored(["--folder", str(tmp_path / "sandbox"), "--port", str(port)])

    assert code == 1
    assert f"port {port} is in use; give another one with --port" in capsys.readouterr().out
    assert not Folder(tmp_path / "sandbox").chain.exists()


def test_a_second_sandbox_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Folder(tmp_path).lock():
        code = main_with_signals_restored(["--folder", str(tmp_path), "--port", "0"])

    assert code == 1
    assert "a sandbox already runs in" in capsys.readouterr().out


def main_with_signals_restored(arguments: list[str]) -> int:
    import signal

    before = {number: signal.getsignal(number) for number in cli.STOP_SIGNALS}
    try:
        return cli.main(arguments)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
