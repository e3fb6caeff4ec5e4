"""The servers that the sandbox and the tests bring along."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sandbox.servers import anvil, valkey
from sandbox.servers.ports import accepts, free_port, is_free
from sandbox.servers.process import Server, ServerError, wait_for
from tests.support.waiting import eventually


def sleeper(folder: Path, **options: object) -> Server:
    command = [sys.executable, "-c", "import time; print('asleep', flush=True); time.sleep(60)"]
    return Server(name="sleeper", command=command, log=folder / "sleeper.log", **options)  # type: ignore[arg-type]


def exists(pid: int) -> bool:
    """A running process; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_server_is_started_when_it_is_ready_and_gone_when_it_is_stopped(tmp_path: Path) -> None:
    log = tmp_path / "sleeper.log"
    server = sleeper(tmp_path, ready=lambda: "asleep" in log.read_text()).start()
    pid = server.pid

    assert server.alive
    server.stop()
    server.stop()

    assert not server.alive
    assert not exists(pid)


def test_a_server_that_ends_while_starting_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no room on the disk')"]
    server = Server(name="broken", command=command, log=tmp_path / "broken.log", ready=lambda: False)

    with pytest.raises(ServerError, match=r"broken ended while starting \(exit code 1\)\nno room on the disk"):
        server.start()


def test_a_server_that_never_gets_ready_is_stopped_and_reported(tmp_path: Path) -> None:
    server = sleeper(tmp_path, ready=lambda: False)

    with pytest.raises(ServerError, match=r"sleeper is ready: not after 0.2 s"):
        server.start(seconds=0.2)

    assert not server.alive


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    server = Server(name="ghost", command=["/nowhere/ghost"], log=tmp_path / "ghost.log")

    with pytest.raises(ServerError, match="ghost cannot be started"):
        server.start()


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "deaf.log"
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    server = Server(
        name="deaf",
        command=[sys.executable, "-c", code],
        log=log,
        ready=lambda: "deaf" in log.read_text(),
        stop_seconds=0.2,
    ).start()

    server.stop()

    assert server.popen is not None
    assert server.popen.returncode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_children_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import pathlib, sys, time
        from sandbox.servers.process import Server
        command = [sys.executable, "-c", "import time; time.sleep(60)"]
        child = Server(name="child", command=command, log=pathlib.Path({str(tmp_path / "child.log")!r})).launch()
        print(child.pid, flush=True)
        time.sleep(60)
        """
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path.cwd()) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert exists(child)
        parent.kill()

    eventually(lambda: not exists(child), 5)


def test_waiting_ends_with_the_first_true_answer_or_names_what_did_not_come() -> None:
    answers = iter([0, "", "here"])

    assert wait_for(lambda: next(answers), seconds=5, what="an answer") == "here"
    with pytest.raises(ServerError, match="an answer: not after 0 s"):
        wait_for(lambda: False, seconds=0, what="an answer")


def test_redis_answers_and_keeps_what_it_was_told_over_a_restart(tmp_path: Path) -> None:
    port = free_port()
    server = valkey.valkey(port=port, folder=tmp_path / "data", log=tmp_path / "redis.log", persistent=True).start()
    assert not is_free(port)
    with valkey_client(port) as client:
        client.set("greeting", "hello")
    server.stop()
    assert is_free(port)

    server.start()

    with valkey_client(port) as client:
        assert client.get("greeting") == b"hello"
    server.stop()


def valkey_client(port: int):  # type: ignore[no-untyped-def]
    from redis import Redis

    return Redis(port=port)


def test_the_chain_goes_on_from_its_saved_state(tmp_path: Path) -> None:
    port = free_port()
    somebody = "0x" + "11" * 20
    server = anvil.anvil(port=port, log=tmp_path / "anvil.log", state=tmp_path / "chain.json").start()
    assert int(anvil.rpc(port, "eth_chainId"), 16) == anvil.CHAIN_ID
    anvil.rpc(port, "anvil_setBalance", somebody, hex(42))
    anvil.rpc(port, "anvil_mine", hex(7))
    server.stop()

    server.start()

    assert int(anvil.rpc(port, "eth_blockNumber"), 16) == 7
    assert int(anvil.rpc(port, "eth_getBalance", somebody, "latest"), 16) == 42
    server.stop()
    assert not accepts(port)


def test_the_node_says_no_in_its_own_words(tmp_path: Path) -> None:
    port = free_port()
    server = anvil.anvil(port=port, log=tmp_path / "anvil.log").start()

    with pytest.raises(anvil.NodeRefused, match="eth_noSuchMethod"):
        anvil.rpc(port, "eth_noSuchMethod")

    server.stop()


@pytest.mark.parametrize("variable", ["ANVIL_BIN"])
def test_a_missing_anvil_tells_how_to_get_it(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, os.path.join(os.sep, "nowhere", "anvil"))  # noqa: PTH118

    with pytest.raises(ServerError, match="make tools"):
        anvil.anvil_binary()
