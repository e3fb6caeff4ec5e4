"""What a live platform does not start with: each setting with its reason, in each kind of process, all told at once."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.fernet import Fernet
from eth_account import Account

from partner_platform.core import live
from partner_platform.core.checks import check_consent, check_mail
from partner_platform.core.secrets.known_keys import is_known
from sandbox import programs
from sandbox.folder import Folder
from sandbox.keys import key_pair
from tests.support.live import LIVE, SIGNING_KEY

PROJECT = Path(__file__).resolve().parents[2]
PRINTED_BY_ANVIL = "test test test test test test test test test test test junk"
GOOD: dict[str, Any] = {
    "SECRET_KEY": LIVE["DJANGO_SECRET_KEY"],
    "FIELD_ENCRYPTION_KEYS": [LIVE["FIELD_ENCRYPTION_KEYS"]],
    "AUDIT_KEYS": [],
    "PLATFORM_PRIVATE_KEY": "",
    "PLATFORM_RETIRED_PRIVATE_KEYS": [],
    "DEBUG": False,
    "APPROVALS": "required",
    "ALLOWED_HOSTS": ["api.example.com"],
    "TRUSTED_PROXIES": ["10.0.0.0/8", "2001:db8::/32"],
    "METRICS_NETWORKS": ["10.0.0.7"],
    "STAFF_SECOND_FACTOR": "required",
    "WEBHOOK_ALLOWED_NETWORKS": [],
    "CSRF_TRUSTED_ORIGINS": ["https://console.example.com", "https://*.example.com"],
    "DATABASE_URL": "postgres://platform:secret@db/platform",
    "DEFAULT_DATABASE_URL": "sqlite:////app/db.sqlite3",
    "REDIS_URL": "rediss://redis:6379/0",
    "CHAIN_ID": 5000,
    "CHAIN_RPC_URLS": [
        "https://rpc.example.com/v3/token",
        "http://10.1.2.3:8545",
        "http://geth:8545",
        "http://[::1]:8545",
    ],
}
EVERYBODYS = "has a network that is (nearly) everybody's"
KNOWN = "is a key that everybody knows (the sandbox's, or a development chain's)"


def test_good_settings_are_taken() -> None:
    assert list(live.problems(GOOD)) == []
    assert list(live.problems({**GOOD, "PLATFORM_PRIVATE_KEY": SIGNING_KEY, "AUDIT_KEYS": ["a1B2c3D4" * 4]})) == []
    assert list(live.problems({**GOOD, "FIELD_ENCRYPTION_KEYS": [Fernet.generate_key().decode()] * 2})) == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("SECRET_KEY", "x", "DJANGO_SECRET_KEY can be guessed: 50 random characters at least"),
        ("SECRET_KEY", GOOD["SECRET_KEY"][:49], "DJANGO_SECRET_KEY can be guessed: 50 random characters at least"),
        ("SECRET_KEY", "abcdefg" * 9, "DJANGO_SECRET_KEY can be guessed: 50 random characters at least"),
        (
            "SECRET_KEY",
            "django-insecure-" + GOOD["SECRET_KEY"],
            "DJANGO_SECRET_KEY can be guessed: 50 random characters at least",
        ),
        ("FIELD_ENCRYPTION_KEYS", [GOOD["FIELD_ENCRYPTION_KEYS"][0], "A" * 43 + "="], "key 2 is not random"),
        ("FIELD_ENCRYPTION_KEYS", [os.environ["FIELD_ENCRYPTION_KEYS"]], "key 1 is not random"),
        ("AUDIT_KEYS", ["a" * 31], "AUDIT_KEYS: key 1 can be guessed: 32 random characters at least"),
        ("AUDIT_KEYS", ["a" * 40], "AUDIT_KEYS: key 1 can be guessed: 32 random characters at least"),
        ("DEBUG", True, "DJANGO_DEBUG is on: error pages show settings and data"),
        ("APPROVALS", "off", "APPROVALS is off: one person alone could change where borrowed money goes"),
        ("ALLOWED_HOSTS", ["api.example.com", "*"], "DJANGO_ALLOWED_HOSTS takes any host (*)"),
        ("TRUSTED_PROXIES", ["10.0.0.0/8", "0.0.0.0/0"], f"TRUSTED_PROXIES {EVERYBODYS}"),
        ("TRUSTED_PROXIES", ["128.0.0.0/1"], f"TRUSTED_PROXIES {EVERYBODYS}"),
        ("TRUSTED_PROXIES", ["0.0.0.0/7"], f"TRUSTED_PROXIES {EVERYBODYS}"),
        ("TRUSTED_PROXIES", ["::/0"], f"TRUSTED_PROXIES {EVERYBODYS}"),
        ("TRUSTED_PROXIES", ["::ffff:0:0/96"], f"TRUSTED_PROXIES {EVERYBODYS}"),
        ("METRICS_NETWORKS", ["0.0.0.0/0"], f"METRICS_NETWORKS {EVERYBODYS}"),
        ("STAFF_SECOND_FACTOR", "optional", "STAFF_SECOND_FACTOR is optional: whoever has a password of staff is in"),
        ("WEBHOOK_ALLOWED_NETWORKS", ["127.0.0.0/8"], "WEBHOOK_ALLOWED_NETWORKS is not empty"),
        ("CSRF_TRUSTED_ORIGINS", ["http://a.example"], "http://a.example is not one https:// site"),
        ("CSRF_TRUSTED_ORIGINS", ["https://*"], "https://* is not one https:// site"),
        ("DATABASE_URL", GOOD["DEFAULT_DATABASE_URL"], "DATABASE_URL is not set"),
        ("REDIS_URL", "", "REDIS_URL names no Redis"),
        ("REDIS_URL", "http://redis", "REDIS_URL names no Redis"),
        ("CHAIN_ID", 31337, "CHAIN_ID 31337 is a development chain's"),
        ("CHAIN_RPC_URLS", [GOOD["CHAIN_RPC_URLS"][0], "http://rpc.example.com/v3/token"], "CHAIN_RPC_URLS: number 2"),
        ("CHAIN_RPC_URLS", ["http://8.8.8.8"], "CHAIN_RPC_URLS: number 1 goes over a public network without TLS"),
        ("CHAIN_RPC_URLS", ["rpc"], "CHAIN_RPC_URLS: number 1 goes over a public network without TLS"),
        ("PLATFORM_PRIVATE_KEY", key_pair("operator").private_key, f"PLATFORM_PRIVATE_KEY {KNOWN}"),
        ("PLATFORM_RETIRED_PRIVATE_KEYS", [key_pair("deployer").private_key], f"PLATFORM_RETIRED_PRIVATE_KEYS {KNOWN}"),
        ("PLATFORM_PRIVATE_KEY", "0x" + "00" * 31 + "01", "PLATFORM_PRIVATE_KEY can be guessed"),
        ("PLATFORM_PRIVATE_KEY", "0xnot-a-key", "PLATFORM_PRIVATE_KEY is not a private key: 32 bytes in hex"),
    ],
)
def test_an_unsafe_setting_is_the_one_reason_and_its_value_is_not_shown(name: str, value: Any, reason: str) -> None:
    (told,) = live.problems({**GOOD, name: value})
    assert reason in told
    if "KEY" in name:
        secrets = [value] if isinstance(value, str) else value
        assert not [secret for secret in secrets if len(secret) > 1 and secret in told]
    assert "token" not in told


def test_the_keys_that_a_development_chain_prints_are_known() -> None:
    Account.enable_unaudited_hdwallet_features()
    printed = [Account.from_mnemonic(PRINTED_BY_ANVIL, account_path=f"m/44'/60'/0'/0/{n}").key for n in range(10)]
    assert printed[0].hex() == "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
    assert all(is_known(bytes(key)) for key in printed)
    assert not is_known(bytes.fromhex(SIGNING_KEY[2:]))


UNSAFE = {
    **LIVE,
    "DJANGO_SECRET_KEY": "x",
    "DJANGO_DEBUG": "true",
    "DJANGO_ALLOWED_HOSTS": "*",
    "TRUSTED_PROXIES": "0.0.0.0/0",
    "BORROW_CONSENT": "optional",
}
REASONS = [
    "DJANGO_SECRET_KEY can be guessed: 50 random characters at least",
    "DJANGO_DEBUG is on: error pages show settings and data",
    "DJANGO_ALLOWED_HOSTS takes any host (*)",
    "TRUSTED_PROXIES has a network that is (nearly) everybody's",
]
WEB_REASON = (
    "PLATFORM_PRIVATE_KEY is in the web server's environment: only the worker signs, and only it may have the key"
)
WEB = ("-m", "partner_platform.server", "--bind", "127.0.0.1:0")
CELERY = ("-m", "celery", "-A", "partner_platform.celery")


def started(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process: subprocess.CompletedProcess[str] = subprocess.run(
        [sys.executable, *command],
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return process


@pytest.mark.parametrize(
    "command",
    [WEB, (*CELERY, "worker", "--pool", "threads"), (*CELERY, "beat"), ("manage.py", "migrate")],
    ids=["web", "worker", "beat", "command"],
)
def test_no_process_starts_live_with_unsafe_settings_and_every_reason_is_told(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    database = tmp_path / "books.sqlite3"
    refused = started(*command, **{**UNSAFE, "DATABASE_URL": f"sqlite:///{database}"})
    assert refused.returncode != 0
    lines = [line[2:] for line in (refused.stderr + refused.stdout).splitlines() if line.startswith("- ")]
    assert lines == REASONS
    assert not database.exists()


def test_in_sandbox_the_same_settings_are_taken() -> None:
    program = "from partner_platform import settings; print(settings.DEBUG)"
    assert started("-c", program, **{**UNSAFE, "PLATFORM_ENVIRONMENT": "sandbox"}).stdout == "True\n"


@pytest.mark.parametrize("module", ["wsgi", "asgi"])
def test_live_the_web_server_starts_without_the_signing_key_and_not_with_it(module: str) -> None:
    program = f"import partner_platform.{module}; print('up')"
    assert started("-c", program, **LIVE).stdout == "up\n"
    refused = started("-c", program, **LIVE, PLATFORM_PRIVATE_KEY=SIGNING_KEY)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == f"- {WEB_REASON}"
    assert SIGNING_KEY[2:] not in refused.stderr
    retired = started("-c", program, **LIVE, PLATFORM_RETIRED_PRIVATE_KEYS=SIGNING_KEY)
    assert "PLATFORM_RETIRED_PRIVATE_KEYS is in the web server's environment" in retired.stderr


def test_live_the_worker_starts_with_the_signing_key() -> None:
    program = "from partner_platform.celery import app; print(len(app.conf.beat_schedule) > 0)"
    assert started("-c", program, **LIVE, PLATFORM_PRIVATE_KEY=SIGNING_KEY).stdout == "True\n"


def test_in_the_sandbox_only_the_worker_is_told_the_signing_key(tmp_path: Path) -> None:
    folder, env = Folder(tmp_path), {"PLATFORM_PRIVATE_KEY": SIGNING_KEY, "PLATFORM_RETIRED_PRIVATE_KEYS": SIGNING_KEY}
    servers = {
        "web": programs.web(folder, env, 1),
        "worker": programs.worker(folder, env, 1),
        "webhooks": programs.webhooks_worker(folder, env, 1),
        "beat": programs.beat(folder, env),
    }
    told = {name: sorted({server.env[key] for key in env}) for name, server in servers.items() if server.env}
    assert told == {"web": [""], "worker": [SIGNING_KEY], "webhooks": [""], "beat": [""]}


def test_in_containers_only_the_worker_is_told_the_signing_key() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())["services"]
    ours = {name: service for name, service in services.items() if "env_file" in service}
    emptied = {
        name
        for name, service in ours.items()
        if all(service["environment"].get(key) == "" for key in programs.NO_SIGNING_KEYS)
    }
    assert set(ours) - emptied == {"worker"}
    assert {"web", "beat", "migrate"} <= emptied


@pytest.mark.parametrize(
    ("consent", "versions", "warned"),
    [
        ("required", ["2"], []),
        ("optional", ["2"], ["core.W020"]),
        ("required", ["1", "2"], ["core.W021"]),
        ("optional", ["1"], ["core.W020", "core.W021"]),
    ],
)
def test_a_weaker_consent_is_taken_live_and_warned_of(
    settings: Any, consent: str, versions: list[str], warned: list[str]
) -> None:
    settings.BORROW_CONSENT, settings.BORROW_CONSENT_VERSIONS = consent, versions
    assert [message.id for message in check_consent()] == warned


@pytest.mark.parametrize(
    ("backend", "sender", "warned"),
    [
        ("smtp", "Platform <hello@platform.example>", []),
        ("console", "hello@platform.example", ["core.W022"]),
        ("dummy", "partner-platform@localhost", ["core.W022", "core.W023"]),
        ("smtp", "Platform <hello@localhost>", ["core.W023"]),
    ],
)
def test_the_check_of_a_deployment_says_that_no_mail_is_sent(
    settings: Any, backend: str, sender: str, warned: list[str]
) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    settings.DEFAULT_FROM_EMAIL = sender
    assert [message.id for message in check_mail()] == warned
