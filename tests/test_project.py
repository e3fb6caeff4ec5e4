"""The project's own promises: what is documented is complete, and what is shipped runs without what it leaves out."""

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
