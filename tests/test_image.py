"""The image, as far as it can be built without Docker: what .dockerignore lets in is copied as the Dockerfile says, and
the platform starts from there."""

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings

PROJECT = Path(settings.BASE_DIR)
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
RULES = [line.strip() for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.strip()]
COPIES = [(found[1].split(), found[2]) for found in re.finditer(r"^COPY (.+) (\S+)$", DOCKERFILE, re.MULTILINE)]


def is_in_context(path: str, rules: list[str] = RULES) -> bool:
    """Whether Docker sends this path to the build: the last rule that matches it, or a folder it is in, decides."""
    parts = path.split("/")
    itself_and_folders = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    is_sent = True
    for rule in rules:
        pattern = rule.removeprefix("!")
        names = parts if pattern.startswith("**/") else itself_and_folders
        if any(_matches(name, pattern.removeprefix("**/")) for name in names):
            is_sent = rule.startswith("!")
    return is_sent


def _matches(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def needed() -> set[str]:
    """What in the project's folder the running platform reads."""
    folders = [Path(config.path) for config in apps.get_app_configs()]
    folders += [Path(folder) for engine in settings.TEMPLATES for folder in engine["DIRS"]]
    folders += [Path(folder) for folder in settings.STATICFILES_DIRS]
    ours = {folder for folder in folders if folder.is_relative_to(PROJECT) and ".venv" not in folder.parts}
    commands = re.findall(r'"-m", "(\w+)', DOCKERFILE)
    return {folder.relative_to(PROJECT).parts[0] for folder in ours} | {"manage.py", *commands}


def test_the_image_has_what_the_platform_needs() -> None:
    copied = {source.split("/")[0] for sources, _ in COPIES for source in sources}

    assert needed() >= {"audit", "chain", "partners", "loans", "sandbox", "partner_platform", "templates"}
    assert needed() <= copied


def test_what_is_copied_is_let_into_the_build() -> None:
    assert [source for sources, _ in COPIES for source in sources if not is_in_context(source)] == []


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".git/config", ".sandbox/env", ".venv/bin/python", "db.sqlite3", "tests/conftest.py"),
        *("requirements/dev.txt", "partners/__pycache__/a.pyc", "chain/contracts/node_modules/solc/a.js"),
    ],
)
def test_nothing_else_is_let_in(path: str) -> None:
    assert not is_in_context(path)


def test_the_platform_starts_from_what_is_copied(tmp_path: Path) -> None:
    for sources, target in COPIES:
        for source in sources:
            _copy(
                PROJECT / source, tmp_path / target / Path(source).name if target.endswith("/") else tmp_path / target
            )
    variables = dict(re.findall(r"(PLATFORM_ENVIRONMENT|DJANGO_SECRET_KEY|DJANGO_SETTINGS_MODULE)=(\S+)", DOCKERFILE))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "FIELD_ENCRYPTION_KEYS": os.environ["FIELD_ENCRYPTION_KEYS"],
        **variables,
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "manage.py collectstatic --noinput" in DOCKERFILE
    assert "static files copied" in run("manage.py", "collectstatic", "--noinput")
    assert (tmp_path / "staticfiles" / "admin" / "css" / "base.css").exists()
    template = f"from django.template import loader; print(loader.get_template('{_a_template()}').origin.name)"
    assert run("-c", f"import partner_platform.wsgi; {template}").strip().startswith(str(tmp_path))
    run("-m", "partner_platform.server", "--help")


def _copy(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
        return
    for file in source.rglob("*"):
        if file.is_file() and is_in_context(str(file.relative_to(PROJECT))):
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target / file.relative_to(source))


def _a_template() -> str:
    folder = Path(settings.TEMPLATES[0]["DIRS"][0])
    return str(next(file for file in sorted(folder.rglob("*.html"))).relative_to(folder))
