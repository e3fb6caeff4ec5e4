"""The whole world as it was: chain, database and Redis, put back in a few hundredths of a second on every engine."""

from typing import Any

from django.apps import apps
from django.db import models
from django.db.utils import DEFAULT_DB_ALIAS
from django_redis import get_redis_connection

from chain.rpc.clients import get_client
from partner_platform.core.database.transactions import run_in_transaction
from partners import limits
from tests.support.chain import Chain

GONE = -2  # Redis' answer for the lifetime of a key that is not there
RESTART_SECONDS = 10  # from a kill until a supervisor's new process works; the lease has run out by then


class Snapshot:
    """Taken when made; `restore` as often as wanted."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._rows = {model: list(model._base_manager.all()) for model in _models()}
        redis = get_redis_connection("default")
        found = {key: (redis.dump(key), redis.pttl(key)) for key in redis.keys()}  # noqa: SIM118
        # What expired between these questions is gone: its dump is None, or its lifetime GONE.
        self._redis = {key: (dump, max(left, 0)) for key, (dump, left) in found.items() if dump and left != GONE}
        self._id = chain.rpc("evm_snapshot")

    def restore(self) -> None:
        self._chain.rpc("anvil_dropAllTransactions")
        assert self._chain.rpc("evm_revert", self._id) is True
        self._id = self._chain.rpc("evm_snapshot")
        run_in_transaction(self._restore_rows)
        redis = get_redis_connection("default")
        redis.flushdb()
        for key, (value, lifetime) in self._redis.items():
            redis.restore(key, lifetime, value)
        forget()

    def _restore_rows(self) -> None:
        for model in self._rows:
            model._base_manager.all()._raw_delete(DEFAULT_DB_ALIAS)
        for model, rows in self._rows.items():
            model._base_manager.bulk_create(rows)


def forget() -> None:
    """What a process remembers of a world that is not any more, as after its restart."""
    get_client.cache_clear()
    limits._known_days.clear()


def pass_time_in_redis() -> None:
    """What would expire in Redis until a restart is gone."""
    redis = get_redis_connection("default")
    for key in redis.keys():  # noqa: SIM118 - not a dict
        if 0 <= redis.pttl(key) <= RESTART_SECONDS * 1000:
            redis.delete(key)


def _models() -> list[Any]:
    """The project's own tables, in an order in which references point backwards."""
    own: list[Any] = [model for model in apps.get_models() if not model.__module__.startswith("django.")]
    return sorted(own, key=lambda model: _depth(model, own))


def _depth(model: Any, own: list[type[models.Model]]) -> int:
    parents = {field.related_model for field in model._meta.concrete_fields if field.is_relation} - {model}
    return 1 + max((_depth(parent, own) for parent in parents if parent in own), default=0)
