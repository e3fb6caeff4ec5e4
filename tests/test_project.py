"""The project's own promises: what is documented is complete, and what is shipped runs without what it leaves out."""

import ast
import json
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
READS = re.compile(r"env\.\w+\(\s*\"([A-Z][A-Z0-9_]+)\"")
DOCUMENTED = re.compile(r"^\| `([A-Z][A-Z0-9_]+)` \|", re.MULTILINE)


def test_every_environment_variable_is_documented_and_none_besides() -> None:
    read = set(READS.findall((PROJECT / "partner_platform" / "settings.py").read_text()))
    documented = set(DOCUMENTED.findall((PROJECT / "docs" / "configuration.md").read_text()))

    assert "DJANGO_SECRET_KEY" in read
    assert documented == read


def test_every_make_target_of_the_readme_exists() -> None:
    named = set(re.findall(r"`make ([a-z-]+)", (PROJECT / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))

    assert {"sandbox", "test", "lint", "bench"} <= named
    assert named <= targets


def test_links_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (PROJECT / "README.md").read_text())

    assert links
    assert [link for link in links if not (PROJECT / link).exists()] == []


def test_pip_shows_errors_and_no_warnings_while_it_sets_up() -> None:
    makefile, with_node = ((PROJECT / name).read_text() for name in ("Makefile", "tools/with-node"))
    assert "PIP_OPTIONS := --quiet --quiet --disable-pip-version-check\n" in makefile
    calls = re.findall(r"pip install (.*)", makefile)
    assert len(calls) >= 6
    assert [call for call in calls if not call.startswith("$(PIP_OPTIONS) ")] == []
    assert re.findall(r"-m pip install (--\w+ --\w+)", with_node) == ["--quiet --quiet"]


def test_what_our_loan_read_is_measured_against_stores_the_same_fields() -> None:
    loan = json.loads((PROJECT / "docs" / "openapi.json").read_text())["components"]["schemas"]["Loan"]
    rivals = ast.parse((PROJECT / "benchmarks" / "rival" / "models.py").read_text())
    (rival,) = [node for node in rivals.body if isinstance(node, ast.ClassDef) and node.name == "RivalLoan"]
    stored = {ast.unparse(node.targets[0]) for node in rival.body if isinstance(node, ast.Assign)}

    answered = {re.sub(r"(?<!^)([A-Z])", lambda match: f"_{match[1].lower()}", name) for name in loan["properties"]}

    assert stored - {"partner"} == answered
