"""The migrations are what the models say, and an installation that has rows goes through them."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from pytest_django import DjangoDbBlocker
from pytest_django.fixtures import Settings

UPGRADED = "upgraded"  # the alias of a database beside the one of the tests
BEFORE, EVIDENCE = "0004_funding_once_per_transaction_and_sender", "0005_evidence_and_authority"
CARRIERS, BUNDLES = "0008_former_carriers", "0009_bundles_and_transactions"
EXECUTOR = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


@pytest.mark.django_db
def test_no_model_says_more_than_its_migrations() -> None:
    said = StringIO()
    call_command("makemigrations", check=True, dry_run=True, stdout=said)
    assert said.getvalue() == "No changes detected\n"


# --- chain 0005 and 0009, on an installation of before ---


@pytest.fixture
def before(django_db_setup: None, django_db_blocker: DjangoDbBlocker, tmp_path: Path) -> Iterator[Any]:
    """The models of chain 0004, in an empty database of their own."""
    default = connections["default"]
    folder = f"{tmp_path}/" if default.vendor == "sqlite" else ""
    name = f"{folder}{UPGRADED}"
    connections.databases[UPGRADED] = {
        **default.settings_dict,
        "NAME": name,
        "TEST": {**default.settings_dict["TEST"], "NAME": name},
    }
    connection: Any = connections[UPGRADED]
    with django_db_blocker.unblock():
        connection.creation._create_test_db(verbosity=0, autoclobber=True)
        yield migrated_to(BEFORE)
        connection.close()
        connection.creation._destroy_test_db(name, verbosity=0)
    del connections[UPGRADED], connections.databases[UPGRADED]


def migrated_to(migration: str) -> Any:
    """Migrate `chain`; its models as they are then."""
    return MigrationExecutor(connections[UPGRADED]).migrate([("chain", migration)]).apps


def rows(apps: Any, model: str) -> Any:
    return apps.get_model("chain", model).objects.using(UPGRADED)


def one_operation(apps: Any) -> None:
    wallet = rows(apps, "PlatformWallet").create(address="0x" + "a1" * 20, chain_id=5003, fee_cap_wei=1)
    carrier = rows(apps, "ChainTransaction").create(wallet=wallet, nonce=0, gas_limit=1)
    rows(apps, "Operation").create(
        key="borrow:1", uid="0x" + "01" * 32, kind="borrow", calls=[], effect=[], carrier=carrier
    )


def applied() -> set[str]:
    return {name for app, name in MigrationRecorder(connections[UPGRADED]).applied_migrations() if app == "chain"}


def executors(apps: Any) -> dict[str, list[Any]]:
    return {
        "Operation": list(rows(apps, "Operation").values_list("executor", "chain_id")),
        "ChainTransaction": list(rows(apps, "ChainTransaction").values_list("executor", flat=True)),
        "Executor": list(rows(apps, "Executor").values_list("address", "chain_id")),
    }


@pytest.mark.parametrize(("from_block", "verified"), [(0, 0), (1, 0), (500, 499)])
def test_a_cursor_of_before_is_read_a_second_time_from_where_a_new_one_is(
    before: Any, settings: Settings, from_block: int, verified: int
) -> None:
    settings.WATCH_FROM_BLOCK = from_block
    rows(before, "WatchCursor").create(name="system", next_block=9_000)
    after = migrated_to(EVIDENCE)
    assert rows(after, "WatchCursor").values_list("next_block", "verified_block").get() == (9_000, verified)


def test_operations_of_before_were_made_for_the_executor_and_the_chain_of_the_settings(
    before: Any, settings: Settings
) -> None:
    settings.PLATFORM_EXECUTOR_ADDRESS, settings.CHAIN_ID = EXECUTOR, 5003
    one_operation(before)
    assert executors(migrated_to(EVIDENCE)) == {
        "Operation": [(EXECUTOR, 5003)],
        "ChainTransaction": [EXECUTOR],
        "Executor": [(EXECUTOR, 5003)],
    }


def test_without_the_executors_address_nothing_is_migrated_where_there_are_operations(
    before: Any, settings: Settings
) -> None:
    settings.PLATFORM_EXECUTOR_ADDRESS = ""
    one_operation(before)
    tables = connections[UPGRADED].introspection.table_names()
    with pytest.raises(
        ImproperlyConfigured, match=r"^PLATFORM_EXECUTOR_ADDRESS is not set, and 1 operations were made"
    ):
        migrated_to(EVIDENCE)
    assert EVIDENCE not in applied()
    assert connections[UPGRADED].introspection.table_names() == tables
    settings.PLATFORM_EXECUTOR_ADDRESS, settings.CHAIN_ID = EXECUTOR, 5003
    assert executors(migrated_to(EVIDENCE))["Operation"] == [(EXECUTOR, 5003)]  # nothing was left half done


@pytest.mark.parametrize("address", ["", EXECUTOR])
def test_where_there_are_no_operations_no_executor_is_needed_or_noted(
    before: Any, settings: Settings, address: str
) -> None:
    settings.PLATFORM_EXECUTOR_ADDRESS = address
    assert executors(migrated_to(EVIDENCE)) == {"Operation": [], "ChainTransaction": [], "Executor": []}
    assert EVIDENCE in applied()


def test_an_operation_keeps_its_transaction_its_place_and_its_former_transactions(before: Any) -> None:
    old = migrated_to(CARRIERS)
    wallet = rows(old, "PlatformWallet").create(address="0x" + "a1" * 20, chain_id=5003, fee_cap_wei=1)
    carrier = rows(old, "ChainTransaction").create(wallet=wallet, nonce=0, gas_limit=1)
    place = {"carrier": carrier, "position_in_carrier": 3, "former_carriers": ["one", "two"]}
    rows(old, "Operation").create(key="borrow:1", uid="0x" + "01" * 32, kind="borrow", calls=[], effect=[], **place)
    names = ("transaction_id", "position_in_bundle", "former_transactions")
    assert rows(migrated_to(BUNDLES), "Operation").values_list(*names).get() == (carrier.pk, 3, ["one", "two"])
    names = ("carrier_id", "position_in_carrier", "former_carriers")
    assert rows(migrated_to(CARRIERS), "Operation").values_list(*names).get() == (carrier.pk, 3, ["one", "two"])
