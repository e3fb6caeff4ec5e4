"""docs/invariants.md cannot rot: each constraint, error and test that it names exists, and no error is left out."""

import ast
import re
from functools import cache

import pytest
from django.apps import apps

from tests.support.mentions import PROJECT, defined_in, files

PAGE = (PROJECT / "docs" / "invariants.md").read_text()
SECTION = re.compile(r"^## (M\d): [^\n]+\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
SECTIONS = {found[1]: found[2] for found in SECTION.finditer(PAGE)}
APPS = ("audit", "chain", "events", "partners", "loans")
INVARIANTS = ["M1", "M2", "M3", "M4", "M5", "M6", "M7"]
WITHOUT_CONSTRAINT = {"M7"}
RAISES = re.compile(r"^(M\d): ")


def part(invariant: str, name: str) -> str:
    """What the section of an invariant says after **Database**, **Error** or **Tests**."""
    return SECTIONS[invariant].partition(f"- **{name}**:")[2].partition("\n- **")[0]


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def constraints() -> set[str]:
    """What the database holds: constraints by name, unique columns as `Model.field`."""
    models = [model for app in APPS for model in apps.get_app_config(app).get_models()]
    named = {constraint.name for model in models for constraint in model._meta.constraints}
    unique = {
        f"{model.__name__}.{field.name}"
        for model in models
        for field in model._meta.concrete_fields
        if field.unique and not field.primary_key
    }
    return named | unique


@cache
def raised() -> dict[str, set[str]]:
    """The files that raise an error whose message begins with the invariant, by invariant."""
    found: dict[str, set[str]] = {name: set() for name in INVARIANTS}
    for file in files():
        if file.endswith(".py") and not file.startswith(("tests/", "tools/")):
            for message in _messages((PROJECT / file).read_text()):
                if match := RAISES.match(message):
                    found[match[1]].add(file)
    return found


def _messages(source: str) -> list[str]:
    """How the messages of what a file raises begin; a file that names no invariant is not parsed."""
    if not re.search(r"\"M\d: ", source):
        return []
    errors = [node.exc for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise)]
    first = [error.args[0] for error in errors if isinstance(error, ast.Call) and error.args]
    texts = [value.values[0] if isinstance(value, ast.JoinedStr) else value for value in first]
    return [text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)]


def test_every_invariant_has_its_section() -> None:
    assert list(SECTIONS) == INVARIANTS


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_every_constraint_that_the_page_names_is_in_the_database(invariant: str) -> None:
    if invariant in WITHOUT_CONSTRAINT:
        assert part(invariant, "Database").startswith(" nothing: ")
        return
    named = quoted(part(invariant, "Database"))

    assert named
    assert [name for name in named if name not in constraints()] == []


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_the_page_names_exactly_the_files_that_raise_the_invariant(invariant: str) -> None:
    sentence = re.search(r"`InvariantViolation` in ((?:`[\w/]+\.py`(?:,\s+)?)+)", part(invariant, "Error"))

    assert set(quoted(sentence[1]) if sentence else []) == raised()[invariant]


@pytest.mark.parametrize("invariant", INVARIANTS)
def test_every_test_and_function_that_the_page_names_exists(invariant: str) -> None:
    tests = re.findall(r"^  - `(tests/[\w/]+\.py)::(\w+)`$", part(invariant, "Tests") + "\n", re.MULTILINE)
    functions = re.findall(r"`([\w/]+\.py)::([\w.]+)`", SECTIONS[invariant])

    assert len(tests) >= 6
    assert len(tests) == part(invariant, "Tests").count("\n  - ")
    assert [f"{file}::{name}" for file, name in functions if name not in defined_in(file)] == []


def test_every_constraint_of_the_books_belongs_to_an_invariant() -> None:
    """Of rows that hold money; the others are names and keys of things (`Partner.partner_id`)."""
    named = {name for invariant in INVARIANTS for name in quoted(part(invariant, "Database"))}
    of_money = {name for name in constraints() if "." not in name}

    assert of_money - named == {"executor_once_per_chain"}
