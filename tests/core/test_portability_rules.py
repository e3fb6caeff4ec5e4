"""The rules that keep one code base on three databases, each that a machine can check (docs/databases.md)."""

from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import models
from django.test import override_settings
from django.test.utils import isolate_apps

from partner_platform.core import checks
from partner_platform.core.database.contrib import contrib_for
from partner_platform.core.database.url import database_from_url
from partner_platform.core.fields import UUIDPrimaryKey
from tests.core.portability import scan, scan_text, source_files


def ids(messages: list[Any]) -> list[str]:
    return [message.id for message in messages]


def test_our_models_are_found_and_keep_the_rules() -> None:
    names = {model.__name__ for model in checks.our_models()}
    assert {"Partner", "PartnerLoan", "Operation", "ApiLog"} <= names
    assert "User" not in names
    assert checks.check_models(None) == []


def test_the_checks_run_with_djangos_own() -> None:
    with override_settings(TIME_ZONE="Europe/Berlin"):
        assert ids(run_checks(tags=["databases"])) == ["core.E010"]
    assert run_checks(tags=["databases"]) == []


@isolate_apps("audit")
def test_a_model_that_another_engine_cannot_hold_is_an_error() -> None:
    class Broken(models.Model):  # noqa: DJ008 - nobody reads it
        amount = models.IntegerField(db_default=0)
        doubled = models.GeneratedField(
            expression=models.F("amount") * 2, output_field=models.IntegerField(), db_persist=True
        )
        others = models.ManyToManyField("self")
        name = models.CharField(max_length=10, db_collation="nocase")

        class Meta:
            app_label = "audit"

    assert ids(checks.check_model(Broken)) == ["core.E001", "core.E006", "core.E003", "core.E007", "core.E005"]


@isolate_apps("audit")
def test_a_model_within_the_rules_passes() -> None:
    class Fine(models.Model):  # noqa: DJ008
        id = UUIDPrimaryKey()
        amount = models.IntegerField(default=0)

        class Meta:
            app_label = "audit"

    assert checks.check_model(Fine) == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////tmp/x.sqlite3", []),
        ("postgres://user@host/name", []),
        ("mongodb://host/name?replicaSet=rs0", []),
        ("mongodb://a:1,b:2/name?replicaSet=rs0&readPreference=primary", []),
        ("mongodb://host/name", ["core.E012"]),
        ("mongodb://host/name?replicaSet=rs0&readPreference=secondaryPreferred", ["core.E013"]),
    ],
)
def test_a_mongodb_url_names_its_replica_set_and_reads_from_the_primary(url: str, expected: list[str]) -> None:
    assert ids(checks.check_database(database_from_url(url, conn_max_age=0))) == expected


def test_the_stock_mongodb_engine_is_refused_for_its_transactions_do_nothing() -> None:
    assert ids(checks.check_database({"ENGINE": "django_mongodb_backend", "HOST": ""})) == ["core.E011"]


def test_the_contrib_apps_have_keys_that_their_database_can_make() -> None:
    sqlite = contrib_for(database_from_url("sqlite:///x", conn_max_age=0))
    mongodb = contrib_for(database_from_url("mongodb://host/name?replicaSet=rs0", conn_max_age=0))
    assert (sqlite.migration_modules, sqlite.auto_field) == ({}, "django.db.models.BigAutoField")
    assert set(mongodb.migration_modules) == {"admin", "auth", "contenttypes"}
    assert mongodb.auto_field == "django_mongodb_backend.fields.ObjectIdAutoField"
    assert len(sqlite.apps) == len(mongodb.apps) == 3


def test_no_source_of_ours_uses_what_works_on_one_database_only() -> None:
    files = source_files()
    assert len(files) > 50
    assert [str(finding) for path in files for finding in scan(path)] == []


@pytest.mark.parametrize(
    "line",
    [
        "from django.db import transaction",
        "from django.db.transaction import atomic",
        "import django.db.transaction",
        "from django_mongodb_backend.transaction import atomic",
        "Model.objects.bulk_create(rows, ignore_conflicts=True)",
        "Model.objects.raw('SELECT 1')",
        "migrations.RunSQL('SELECT 1')",
        "User.objects.filter(username__iexact=name)",
        "rows.distinct('name')",
        "rows.annotate(n=Window(Rank()))",
        "rows.annotate(n=FilteredRelation('x'))",
        "rows.filter(metadata__contained_by={})",
        "rows.filter(metadata__has_key='x')",
        "rows.select_for_update()",
        "connection.cursor()",
        "rows.filter(pk__in=others.filter(a=1)[:10])",
        "others = Other.objects.filter(a=1)\nrows.filter(pk__in=others[:10])",
        "models.IntegerField(db_default=0)",
        "models.AutoField()",
    ],
)
def test_the_scan_finds(line: str) -> None:
    assert len(scan_text(line, "loans/x.py")) == 1


@pytest.mark.parametrize(
    "line",
    [
        "rows.distinct()",
        "rows.filter(pk__in=[1, 2])",
        "rows.filter(pk__in=list(others[:10]))",
        "keys = list(Other.objects.all())\nrows.filter(pk__in=keys[0:10])",
        "name.contains('x')",
        "from partner_platform.core.database.transactions import atomic",
    ],
)
def test_the_scan_leaves_alone(line: str) -> None:
    assert scan_text(line, "loans/x.py") == []
