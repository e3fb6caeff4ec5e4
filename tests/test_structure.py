"""What `python -m tools.structure` finds, each on a small project that breaks one rule."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from tools.structure.__main__ import find_problems, unexpected
from tools.structure.cycles import strongly_connected
from tools.structure.rules import Rules, read_rules, tightened

Project = Callable[..., list[str]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Writes the modules of a package `shop`, and returns what is found in it."""
    monkeypatch.syspath_prepend(tmp_path)

    def look(texts: dict[str, str], **rules: object) -> list[str]:
        for name, text in {"shop/__init__.py": "", **texts}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
        limits = {"function_lines": 5, "file_lines": 30, "folder_files": 4, "any_in_signatures": 0}
        return find_problems(tmp_path, Rules(**{**limits, **rules}))  # type: ignore[arg-type]

    return look


def test_a_function_counts_from_its_def_to_its_last_line(found: Project) -> None:
    five = "def buy():\n    a = 1\n    b = 2\n    c = 3\n    return a + b + c\n\n\nbuy()\n"
    assert found({"shop/a.py": five}) == []
    assert found({"shop/a.py": five.replace("    c", "    c = 2\n    c")}) == ["long function shop.a.buy: 6 lines"]


def test_methods_and_nested_functions_count_too(found: Project) -> None:
    text = "class Till:\n    def _open(self):\n        self._open()\n" + "        print()\n" * 5 + "\n\nTill()\n"
    assert found({"shop/a.py": text}) == [
        "long function shop.a._open: 7 lines",
        "uncalled shop.a.Till._open: nothing outside tests uses it",
    ]


def test_a_file_of_one_line_too_many_is_found(found: Project) -> None:
    assert found({"shop/a.py": "print()\n" * 30}) == []
    assert found({"shop/a.py": "print()\n" * 31}) == ["long file shop/a.py: 31 lines"]


def test_a_folder_counts_its_own_python_files(found: Project) -> None:
    files = {f"shop/{name}.py": "" for name in "abc"} | {"shop/inner/__init__.py": "", "shop/inner/e.py": ""}
    assert found(files) == []
    assert found({"shop/d.py": ""}) == ["full folder shop: 5 Python files"]


def test_tests_and_migrations_are_not_looked_at(found: Project) -> None:
    long = "print()\n" * 31
    assert found({"tests/a.py": long, "shop/migrations/a.py": long, ".tools/a.py": long}) == []


ANY = """
    from typing import Any

    def buy(what: dict[str, Any], *more: Any, price: int) -> Any: ...

    buy
"""


def test_any_is_counted_in_the_types_of_parameters_and_results(found: Project) -> None:
    assert found({"shop/a.py": ANY}, any_in_signatures=3) == []
    assert found({"shop/a.py": ANY}, any_in_signatures=2) == ["Any in signatures: 3 times, at most 2 are allowed"]


def test_a_lower_count_of_any_must_be_written_down(found: Project) -> None:
    assert found({"shop/a.py": ANY}, any_in_signatures=4) == [
        "Any in signatures: only 3 times now; write 3 as any_in_signatures into rules.toml"
    ]


def test_modules_that_import_each_other_are_a_cycle_even_inside_functions(found: Project) -> None:
    texts = {"shop/a.py": "from shop import b\nb\n", "shop/b.py": "def _late():\n    import shop.a\n\n\n_late()\n"}
    assert found(texts) == ["import cycle of shop.a: with shop.b"]


def test_two_cycles_are_told_apart_and_a_chain_is_none() -> None:
    edges = {"a": ["b"], "b": ["c"], "c": ["a", "d"], "d": ["e"], "e": ["d"], "f": ["a"]}
    assert list(strongly_connected(edges)) == [{"a", "b", "c"}, {"d", "e"}]


def test_a_public_name_of_two_modules_is_found_unless_a_reason_is_given(found: Project) -> None:
    texts = {"shop/a.py": "class Item: ...\n\n\nItem()\n", "shop/b.py": "def Item(): ...\n\n\nItem()\n"}
    assert found(texts) == ["twin name Item: shop.a, shop.b"]
    assert found(texts, twins={"Item": "so it is"}) == []


def test_private_names_and_methods_may_be_defined_twice(found: Project) -> None:
    text = "class _Item:\n    def weigh(self): ...\n\n\n_Item().weigh()\n"
    assert found({"shop/a.py": text, "shop/b.py": text}) == []


def test_names_that_django_demands_may_be_defined_twice_where_it_looks_for_them(found: Project) -> None:
    command = "class Command: ...\n\n\nCommand()\n"
    commands = {f"shop/management/commands/{name}.py": command for name in "ab"}
    assert found(commands) == []
    assert found({"shop/a.py": command, "shop/b.py": command}) == ["twin name Command: shop.a, shop.b"]


def test_an_exception_for_a_name_that_is_defined_once_must_go(found: Project) -> None:
    assert found({}, twins={"Item": "so it is"}) == [
        "exception Item: it is defined once at most; remove it from rules.toml"
    ]


def test_what_only_tests_and_itself_use_is_found(found: Project) -> None:
    texts = {
        "shop/a.py": "LIMIT = 1\n\n\ndef buy():\n    return buy()\n\n\nclass Item: ...\n",
        "tests/test_a.py": "from shop.a import LIMIT, Item, buy\nbuy(Item(), LIMIT)\n",
    }
    assert found(texts) == [
        "uncalled shop.a.buy: nothing outside tests uses it",
        "uncalled shop.a.Item: nothing outside tests uses it",
        "uncalled shop.a.LIMIT: nothing outside tests uses it",
    ]


def test_a_name_of_another_module_is_no_use(found: Project) -> None:
    texts = {"shop/a.py": "def buy(): ...\n", "shop/b.py": "def _pay(buy):\n    buy()\n\n\n_pay(1)\n"}
    assert found(texts) == ["uncalled shop.a.buy: nothing outside tests uses it"]


@pytest.mark.parametrize(
    "user",
    [
        "from shop.a import buy\nbuy()\n",
        "from shop.a import buy as get\nget()\n",
        "from shop import a\na.buy()\n",
        "import shop.a\nshop.a.buy()\n",
        "from . import a\na.buy()\n",
        "from .a import buy\nprint(buy)\n",
        "from shop.front import buy\nbuy()\n",
        'print("shop.a.buy")\n',
    ],
)
def test_a_use_is_found_through_imports_and_in_strings(found: Project, user: str) -> None:
    texts = {"shop/a.py": "def buy(): ...\n", "shop/b.py": user, "shop/front.py": "from shop.a import buy\n"}
    assert found(texts) == []


def test_other_files_that_name_a_symbol_use_it(found: Project) -> None:
    assert found({"shop/a.py": "def buy(): ...\n", "Makefile": "run:\n\tserve shop.a:buy\n"}) == []


def test_a_registering_decorator_and_a_framework_base_class_count_as_a_call(found: Project) -> None:
    text = """
        @signal.connect
        def told(): ...

        class ShopConfig(AppConfig): ...
    """
    assert found({"shop/a.py": text}) == []


def test_methods_that_nobody_calls_are_found_in_plain_classes_alone(found: Project) -> None:
    text = "class {}({}):\n    def weigh(self): ...\n\n\n{}()\n"
    assert found(
        {"shop/a.py": text.format("Item", "", "Item"), "shop/b.py": text.format("View", "APIView", "View")}
    ) == ["uncalled shop.a.Item.weigh: nothing outside tests uses it"]


def test_a_symbol_that_is_called_from_outside_is_named_with_a_reason(found: Project) -> None:
    texts = {"shop/a.py": "def buy(): ...\n"}
    assert found(texts, called={"shop.a.buy": "the till calls it"}) == []
    assert found(texts, called={"shop.a.buy": "the till calls it", "shop.a.sell": "so it is"}) == [
        "exception shop.a.sell: there is no such symbol; remove it from rules.toml"
    ]


def test_known_findings_are_passed_over_until_they_are_gone() -> None:
    assert unexpected(["long file a.py: 400 lines"], ["long file a.py"]) == []
    assert unexpected([], ["long file a.py"]) == ["known finding long file a.py: it is gone; remove it from rules.toml"]
    assert unexpected(["long file b.py: 400 lines"], []) == ["long file b.py: 400 lines"]


def test_an_update_takes_out_what_is_gone_and_lowers_the_bound_but_never_raises_it() -> None:
    text = 'any_in_signatures = 7\nfindings = [\n    "long file a.py",\n    "long file b.py",\n]\n'
    left = 'any_in_signatures = 5\nfindings = [\n    "long file b.py",\n]\n'
    assert tightened(text, {"long file a.py"}, 5) == left
    assert tightened(text, set(), 9) == text


def test_each_exception_has_a_reason() -> None:
    rules = read_rules()
    assert [name for name, reason in (rules.twins | rules.called).items() if len(reason) < 10] == []
