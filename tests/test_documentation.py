"""What pages, comments and docstrings mention of the project is in the project."""

import re

import pytest
from django.apps import apps

from tests.support import mentions
from tests.support.mentions import Text

PAGES = mentions.pages()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_mentions_only_what_is_there(page: Text) -> None:
    assert mentions.broken_links(page) == []
    assert mentions.missing_files(page) == []
    assert mentions.missing_members(page) == []
    assert mentions.missing_names(page) == []
    assert mentions.missing_targets(page) == []
    assert mentions.missing_commands(page) == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_page_mentions_only_fields_that_the_models_have(page: Text) -> None:
    models = {model.__name__: model for model in apps.get_models()}
    mentioned = [(model, name) for model, name in re.findall(r"`([A-Z]\w+)\.(\w+)`", page.body) if model in models]

    assert [f"{model}.{name}" for model, name in mentioned if not hasattr(models[model], name)] == []


def test_comments_and_docstrings_mention_only_what_is_there() -> None:
    looks = (mentions.missing_files, mentions.missing_members, mentions.missing_names)
    found = {text.name: missing for text in mentions.modules() for look in looks if (missing := look(text))}

    assert found == {}


def test_the_readme_links_every_page() -> None:
    (readme,) = [page for page in PAGES if page.name == "README.md"]
    links = set(mentions.LINK.findall(readme.body))

    assert {page.name for page in PAGES} - {"README.md"} <= links


def test_the_architecture_names_the_folders_of_the_code_and_none_is_left_out() -> None:
    (page,) = [page for page in PAGES if page.name == "docs/architecture.md"]
    folders = {
        f"{name.removesuffix('/__init__.py')}/"
        for name in mentions.files()
        if re.fullmatch(r"(audit|chain|loans|partners|partner_platform|partner_platform/core)/\w+/__init__\.py", name)
    }
    left_out = folders - set(mentions.PATH.findall(page.body))

    assert {name for name in left_out if name.split("/")[-2] not in ("migrations", "management")} == set()


@pytest.mark.parametrize(
    ("body", "look", "missing"),
    [
        ("[gone](nowhere.md) [here](api.md#errors) [out](https://example.com/x)", "broken_links", ["nowhere.md"]),
        ("[a heading](api.md#no-such-heading) [own](#no)", "broken_links", ["api.md#no-such-heading", "#no"]),
        (
            "docs/nowhere.md, chain/settlement/, `loans/gone/`",
            "missing_files",
            ["docs/nowhere.md", "loans/gone/"],
        ),
        ("`core/clock.py`, `clock.py`, `watch_forks.py`", "missing_files", ["core/clock.py", "watch_forks.py"]),
        ("tests/chain/test_faults_*.py, tests/chain/test_gone_*.py", "missing_files", ["tests/chain/test_gone_*.py"]),
        ("`GET /partners/my/stats` https://host/docs/x.md", "missing_files", []),
        ("`partners/limits.py::write_off` `partners/limits.py::gone`", "missing_members", ["partners/limits.py::gone"]),
        ("`partners.limits.write_off` `partners.limits.gone`", "missing_names", ["partners.limits.gone"]),
        ("`loans.gone.borrow` `loan.undone` `core.clock.now`", "missing_names", ["loans.gone.borrow"]),
        ("`make lint` and `make coffee`", "missing_targets", ["coffee"]),
        ("`manage.py reconcile`, `manage.py migrate`, `manage.py brew`", "missing_commands", ["brew"]),
    ],
)
def test_what_is_not_there_is_found(body: str, look: str, missing: list[str]) -> None:
    assert getattr(mentions, look)(Text("docs/loans.md", body)) == missing


def test_a_relative_name_is_looked_for_in_the_app_of_the_module_that_says_it() -> None:
    said = "`services.settle` and `services.gone` and `positions.holding`"

    assert mentions.missing_names(Text("loans/services/borrow.py", said)) == ["services.gone"]
    assert mentions.missing_names(Text("sandbox/cli.py", said)) == []
