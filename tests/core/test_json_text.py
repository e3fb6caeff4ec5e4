"""JSON of callers is read to a bounded depth, also by an interpreter whose own decoder would end the process."""

import json
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from partner_platform.core.interpreter import RECURSION_LIMIT
from partner_platform.core.text import json_text

DEBIANS = Path("/usr/bin/python3.11")
PROJECT = Path(__file__).resolve().parent.parent.parent
DECODE = """
import sys, threading
import eth_account  # py_ecc lifts the recursion limit
from partner_platform.core.text.json_text import loads
from json import loads as plain

def read():
    for text in (b"[" * 60_000, b'{"a":' * 12_000):
        try:
            {decoder}(text)
        except ValueError as error:
            print(error)

assert sys.getrecursionlimit() == 100_000
thread = threading.Thread(target=read)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("text", [b"[" * 60_000, '{"a":' * 12_000, b"[" * 101 + b"]" * 101, b'[[],"["' + b"[" * 100])
def test_what_is_nested_deeper_than_a_hundred_levels_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match="nested deeper than 100 levels"):
        json_text.loads(text)


def test_a_hundred_levels_and_brackets_within_text_are_read_as_they_are() -> None:
    deep = "[" * 100 + "]" * 100
    assert json.dumps(json_text.loads(deep)) == deep
    assert json_text.loads(b'{"a": "' + b'[{\\"' * 200 + b'"}') == {"a": '[{"' * 200}


@pytest.mark.parametrize("text", [b"", b"\xff", b"{", "[1,]", b"\xef\xbb\xbf{}"])
def test_what_is_no_json_raises_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        json_text.loads(text)


def test_options_are_those_of_the_standard_decoder() -> None:
    assert json_text.loads('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]


def test_the_recursion_limit_is_pythons_own_whatever_was_imported() -> None:
    command = "import django, sys; django.setup(); import eth_account; print(sys.getrecursionlimit())"
    ran = subprocess.run(
        [sys.executable, "-c", command], cwd=PROJECT, check=True, capture_output=True, text=True, timeout=60
    )
    assert int(ran.stdout) == RECURSION_LIMIT


def _on_debians(decoder: str) -> "subprocess.CompletedProcess[str]":
    packages = sysconfig.get_path("purelib")
    return subprocess.run(
        [DEBIANS, "-c", DECODE.replace("{decoder}", decoder)],
        cwd=PROJECT,
        env={"PYTHONPATH": packages},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _version() -> str:
    if not DEBIANS.exists():
        return "none"
    return subprocess.run([DEBIANS, "-V"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.skipif(_version() != "Python 3.11.2", reason="about Debian 12's Python 3.11.2")
def test_debians_python_reads_it_where_its_own_decoder_ends_the_process() -> None:
    assert _on_debians("plain").returncode == -signal.SIGSEGV
    ran = _on_debians("loads")
    assert (ran.returncode, ran.stdout.splitlines()) == (0, ["nested deeper than 100 levels"] * 2)
