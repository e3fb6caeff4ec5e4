"""docs/openapi.json is what the code makes, is valid, is whole, and its examples are what it says."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from events.kinds import EventType
from partner_platform.core import errors
from partner_platform.core.error_catalogue import CATALOGUE
from partner_platform.core.errors import ErrorCode, PlatformError
from partner_platform.core.management.commands.openapi import COMMITTED
from partner_platform.core.openapi import document

PROJECT = Path(__file__).resolve().parents[2]
WEBHOOK_HEADERS = {  # the plan's, and those of Standard Webhooks
    "WebhookId": "webhook-id",
    "WebhookTimestamp": "webhook-timestamp",
    "WebhookSignature": "webhook-signature",
    "XWebhookEvent": "X-Webhook-Event",
    "XWebhookTimestamp": "X-Webhook-Timestamp",
    "XWebhookSignature": "X-Webhook-Signature",
}
APPS = ("partner_platform", "partners", "loans", "chain", "audit", "events", "webhooks", "authority", "staff")
SCHEMA = document.make_document()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, item in SCHEMA["paths"].items()
    for method, operation in item.items()
}
# Pages for people, and one for Prometheus that partners are not told of; everything else is an API.
PAGES = {"", "docs", "docs/redoc", "metrics"}
# What belongs to no operation: unknown paths and methods, and codes that nothing answers with today.
OF_NO_OPERATION = {ErrorCode.METHOD_NOT_ALLOWED, ErrorCode.NOT_ACCEPTABLE, ErrorCode.PERMISSION_DENIED}
# Of the web server and the proxy before it, which know no operation.
OF_NO_OPERATION |= {ErrorCode.REQUEST_TIMEOUT, ErrorCode.URI_TOO_LONG, ErrorCode.HEADERS_TOO_LARGE}
OF_NO_OPERATION |= {ErrorCode.ENCODING_NOT_SUPPORTED, ErrorCode.SERVICE_UNAVAILABLE, ErrorCode.OVERLOADED}


def test_the_committed_schema_is_what_the_code_makes() -> None:
    call_command("openapi", "--check")


def test_another_schema_than_the_codes_is_noticed_and_overwritten(tmp_path: Path, monkeypatch: Any) -> None:
    other = tmp_path / "openapi.json"
    other.write_text("{}")
    monkeypatch.setattr("partner_platform.core.management.commands.openapi.COMMITTED", other)

    with pytest.raises(CommandError, match="make openapi"):
        call_command("openapi", "--check")
    assert other.read_text() == "{}"
    call_command("openapi")
    assert other.read_text() == COMMITTED.read_text()


def test_it_is_valid_openapi_3_1_and_was_made_without_a_warning() -> None:
    with GENERATOR_STATS.silence():
        made = document.make_document()

    validate_schema(made)
    assert made["openapi"].startswith("3.1.")
    assert (dict(GENERATOR_STATS._warn_cache), dict(GENERATOR_STATS._error_cache)) == ({}, {})


@pytest.mark.django_db
def test_it_is_served_to_anybody_as_it_is_committed() -> None:
    response = Client().get("/openapi.json")

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    assert response.content == COMMITTED.read_bytes()


def test_every_path_of_the_url_conf_is_in_it_but_pages_and_the_console() -> None:
    served = {route for route in _routes(get_resolver()) if not route.startswith("console/")}

    assert served >= PAGES
    assert {"/" + route for route in served - PAGES} == set(SCHEMA["paths"])


def _routes(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield _as_in_openapi(route)
        else:
            yield from _routes(entry, route)


def _as_in_openapi(route: str) -> str:
    name = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda found: "{" + _camel(found[1]) + "}", route)
    return name.replace("^", "").removesuffix(r"\Z").removesuffix("$")


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda found: found[1].upper(), name)


def test_every_operation_tells_who_may_call_and_has_an_id_a_summary_and_a_tag_of_the_list() -> None:
    tags = {tag["name"] for tag in SCHEMA["tags"]}

    assert len({operation["operationId"] for operation in OPERATIONS.values()}) == len(OPERATIONS)
    for name, operation in OPERATIONS.items():
        assert operation["summary"], name
        assert set(operation["tags"]) <= tags, name
        path = name.partition(" ")[2]
        is_open = not path.startswith(("/partners/", "/admin/")) or "/public/" in path
        assert (operation["security"] == []) is is_open, name
        is_staffs = path.startswith("/admin/")
        assert (operation["security"] == [{"staffToken": []}]) is is_staffs, name
        assert (operation["tags"] == ["Staff"]) is is_staffs, name


def test_every_answer_has_an_example_and_every_example_fits_its_schema() -> None:
    examples = list(_examples(SCHEMA["paths"]))

    assert len(examples) > 200
    for schema, example in examples:
        value = SCHEMA["components"]["examples"][example["$ref"].rsplit("/", 1)[1]] if "$ref" in example else example
        _validator(schema).validate(value["value"])
    for operation in OPERATIONS.values():
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        assert all(body["examples"] for content in contents for body in content.get("content", {}).values())


def _examples(node: Any) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    if not isinstance(node, dict):
        return
    if "schema" in node and "examples" in node:
        yield from ((node["schema"], example) for example in node["examples"].values())
    for part in node.values():
        yield from _examples(part)


def _validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({**schema, "components": SCHEMA["components"]})


def test_an_error_of_another_operation_does_not_fit() -> None:
    schema = OPERATIONS["GET /partners/my/stats"]["responses"]["401"]["content"]["application/json"]["schema"]
    example = SCHEMA["components"]["examples"]["insufficient_credit"]["value"]

    with pytest.raises(jsonschema.ValidationError):
        _validator(schema).validate(example)


def test_every_type_of_event_is_described_with_its_headers_its_body_and_an_example_that_fits() -> None:
    assert set(SCHEMA["webhooks"]) == set(EventType.values)
    for kind, item in SCHEMA["webhooks"].items():
        (content,) = item["post"]["requestBody"]["content"].values()
        example = content["examples"][kind]["value"]
        _validator(content["schema"]).validate(example)
        assert example["type"] == kind
        assert item["post"]["parameters"] == SCHEMA["webhooks"]["loan.repaid"]["post"]["parameters"]
    names = [SCHEMA["components"]["parameters"][name]["name"] for name in WEBHOOK_HEADERS]
    assert names == [*WEBHOOK_HEADERS.values()]


@pytest.mark.parametrize(
    ("kind", "field"),
    [("loan.repaid", "totalRepaid"), ("loan.repaid", "internalLoanId"), ("webhook.test", "sequence")],
)
def test_an_event_without_one_of_its_fields_does_not_fit(kind: str, field: str) -> None:
    (content,) = SCHEMA["webhooks"][kind]["post"]["requestBody"]["content"].values()
    example = {name: value for name, value in content["examples"][kind]["value"].items() if name != field}

    with pytest.raises(jsonschema.ValidationError, match=field):
        _validator(content["schema"]).validate(example)


def test_an_event_of_another_type_does_not_fit() -> None:
    (content,) = SCHEMA["webhooks"]["payment.missed"]["post"]["requestBody"]["content"].values()
    (other,) = SCHEMA["webhooks"]["loan.borrowed"]["post"]["requestBody"]["content"].values()

    with pytest.raises(jsonschema.ValidationError):
        _validator(content["schema"]).validate(other["examples"]["loan.borrowed"]["value"])


def test_links_lead_to_operations_and_parameters_that_exist() -> None:
    by_id = {operation["operationId"]: operation for operation in OPERATIONS.values()}
    links = [
        link
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]

    assert len(links) >= 10
    for link in links:
        target = by_id[link["operationId"]]
        assert set(link.get("parameters", {})) <= {entry.get("name") for entry in target.get("parameters", [])}


def test_every_error_code_is_in_the_catalogue_and_in_an_operation() -> None:
    told = {
        ErrorCode(code)
        for operation in OPERATIONS.values()
        for status, response in operation["responses"].items()
        if int(status) >= 400
        for code in response["content"]["application/json"].get("examples", {})
        if code != operation["operationId"]
    }

    assert set(CATALOGUE) == set(ErrorCode)
    assert told == set(ErrorCode) - OF_NO_OPERATION


def test_the_catalogue_has_the_status_that_each_error_is_raised_with() -> None:
    statuses = {kind.__name__: int(kind.status) for kind in _kinds(PlatformError)}
    raised = re.compile(r"\b(" + "|".join(statuses) + r")\(\s*ErrorCode\.([A-Z_]+)")
    found = [
        (code, statuses[kind])
        for folder in APPS
        for path in (PROJECT / folder).rglob("*.py")
        for kind, code in raised.findall(path.read_text())
    ]

    assert len(found) > 35
    assert {code: status for code, status in found if CATALOGUE[ErrorCode[code]].status != status} == {}


def _kinds(kind: type[PlatformError]) -> Iterator[type[PlatformError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _kinds(child)


def test_the_page_for_partners_has_the_catalogues_statuses() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `([a-z_]+)` \|", (PROJECT / "docs" / "api.md").read_text(), re.MULTILINE)

    assert {code: int(status) for status, code in rows} == {str(code): int(e.status) for code, e in CATALOGUE.items()}


def test_it_holds_no_secret_and_no_address_of_a_machine(settings: Any) -> None:
    text = COMMITTED.read_text()

    for secret in (settings.SECRET_KEY, settings.DATABASE_URL, settings.REDIS_URL, "127.0.0.1", "localhost"):
        assert secret not in text
    assert json.loads(text)["servers"][0]["url"] == "/"
