"""docs/signatures.md: its examples, run as they stand there, give the signatures that stand there, and so do we."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import request_signing

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "signatures.md").read_text()
SECRET, TIME = re.findall(r"With the secret `(\S+)` and the time `(\d+)`", PAGE)[0]
ROW = re.compile(r"^\| `([A-Z]+)` \| `(\S+)` \| `(\S*)` \| `(.*)` \| `(v2=[0-9a-f]{64})` \|$", re.MULTILINE)
ROWS = [(found[:4], found[4]) for found in ROW.findall(PAGE)]
Parts = tuple[str, str, str, str]


def example(language: str) -> str:
    (code,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(code)


def ours(parts: Parts) -> str:
    method, target, key, body = parts
    return request_signing.sign_v2(
        secret=SECRET, timestamp=TIME, method=method, target=target.encode(), idempotency_key=key, body=body.encode()
    )


def by_python(parts: Parts) -> str:
    names: dict[str, Callable[..., str]] = {}
    exec(example("python"), names)  # noqa: S102 - the page's own lines
    return names["signature"](SECRET, TIME, *parts)


def by_javascript(parts: Parts) -> str:
    script = f"{example('js')}\nprocess.stdout.write(signature(...{json.dumps([SECRET, TIME, *parts])}));"
    return _output(PROJECT / "tools" / "with-node", "node", "-e", script)


def by_shell(parts: Parts) -> str:
    return _output("bash", "-c", f'{example("sh")}\nsignature "$@"', "signature", SECRET, TIME, *parts).strip()


def _output(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("sign", [ours, by_python, by_javascript, by_shell])
def test_the_examples_of_the_page_give_its_signatures(sign: Callable[[Parts], str]) -> None:
    assert len(ROWS) == 4
    for parts, signature in ROWS:
        assert sign(parts) == signature


def test_the_signature_of_version_1_on_the_page_is_ours() -> None:
    (parts, _), *_ = ROWS
    (shown,) = re.findall(r"it is `([0-9a-f]{64})`", PAGE)
    assert request_signing.sign_v1(secret=SECRET, timestamp=TIME, body=parts[3].encode()) == shown
