"""Settings of the tests: the production settings on an environment of the tests' own.

The environment is set before they are read, and processes that tests start inherit it; so they use the same servers.
`DB=sqlite|postgres|mongodb` picks the database, SQLite by default (a file: threads and processes share it).
"""

import os
import tempfile
from pathlib import Path

from sandbox.servers import anvil, mongodb, postgres
from sandbox.servers.ports import LOOPBACK, free_port

TEST_DATABASE = "partner_platform_test"


def _database_url(engine: str, port: int, folder: Path) -> str:
    if engine == "sqlite":
        return f"sqlite:///{folder / 'test.sqlite3'}"
    if engine == "postgres":
        return postgres.postgres_url(port, TEST_DATABASE)
    if engine == "mongodb":
        return mongodb.mongodb_url(port, TEST_DATABASE)
    raise ValueError(f"DB must be sqlite, postgres or mongodb, not {engine!r}")


def _prepare_environment(worker: str) -> None:
    """Once per test process (or parallel worker); its own child processes find it done."""
    # In the system's temporary folder and open to pass through: PostgreSQL's user must reach its own folder in it.
    folder = Path(tempfile.mkdtemp(prefix="partner-platform-tests-"))
    folder.chmod(0o711)
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    ports = {name: free_port() for name in ("redis", "anvil", "database")}
    os.environ |= {
        "TEST_WORKER": worker,
        "TEST_FOLDER": str(folder),
        "TEST_REDIS_PORT": str(ports["redis"]),
        "TEST_ANVIL_PORT": str(ports["anvil"]),
        "TEST_DATABASE_PORT": str(ports["database"]),
        "DJANGO_SECRET_KEY": "only-for-tests-and-long-enough-not-to-be-warned-about-0123456789",
        "FIELD_ENCRYPTION_KEYS": "b25seS1mb3ItdGVzdHMtMzItYnl0ZXMtb2Yta2V5ISE=",
        "DJANGO_ALLOWED_HOSTS": "*",
        "PLATFORM_ENVIRONMENT": "sandbox",
        "CHAIN_ID": str(anvil.CHAIN_ID),
        "CHAIN_REQUEST_TIMEOUT_SECONDS": "5",  # as the engine's: the machine of the tests may be busy
        "CHAIN_RPC_URLS": anvil.rpc_url(ports["anvil"]),
        "REDIS_URL": f"redis://{LOOPBACK}:{ports['redis']}/0",
        "DATABASE_URL": _database_url(os.environ.get("DB") or "sqlite", ports["database"], folder),
        "LOG_LEVEL": "WARNING",
        "RATE_LIMIT_REFUSED": "1000000",  # all tests have one address; tests of the limit set their own
        "REFUSED_CALL_ROWS": "1000000",
        # The same holds for a partner: what is not about threads has all of them.
        "PARTNER_THREADS": "32",
        "WAITING_THREADS": "32",
    }


_worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
if os.environ.get("TEST_WORKER") != _worker:
    _prepare_environment(_worker)

from partner_platform.settings import *  # noqa: E402, F403
from partner_platform.settings import DATABASES  # noqa: E402

# The test database is the one that DATABASE_URL names, so that processes started by tests see the same rows.
DATABASES["default"]["TEST"] = {"NAME": DATABASES["default"]["NAME"]}
DB_ENGINE = os.environ.get("DB") or "sqlite"
TEST_FOLDER = Path(os.environ["TEST_FOLDER"])
TEST_REDIS_PORT = int(os.environ["TEST_REDIS_PORT"])
TEST_ANVIL_PORT = int(os.environ["TEST_ANVIL_PORT"])
TEST_DATABASE_PORT = int(os.environ["TEST_DATABASE_PORT"])

# Slow hashing protects stored passwords; tests store none worth it.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Nothing is collected for tests; the folder exists so that whitenoise does not warn.
STATIC_ROOT = TEST_FOLDER / "static"
STATIC_ROOT.mkdir(exist_ok=True)
# Static files are looked for when one is asked for: every test client would read the names of all of them first, 20 ms.
WHITENOISE_AUTOREFRESH = True
