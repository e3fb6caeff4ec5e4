"""docs/contributing.md: each question of its table is answered by a folder, a module and a function that exist."""

import re

import pytest

from tests.support.mentions import PROJECT, defined_in, files

PAGE = (PROJECT / "docs" / "contributing.md").read_text()
ROW = re.compile(r"^\| ([^|]+\?) \| `([\w/]+/)` \| `(\w+\.py)` \| `([\w.]+)` \| [^|]+ \|$", re.MULTILINE)
ANSWERS = {question: (folder, module, function) for question, folder, module, function in ROW.findall(PAGE)}
ASKED = (
    "Where is the daily limit enforced?",
    "Where is the fee computed?",
    "What happens when a transaction reverts?",
    "Where do I add an endpoint?",
    "How is a reorg handled?",
)
ADDED = ("an endpoint", "a model, or a column", "an event", "a metric", "a command", "a setting")


def test_the_questions_that_newcomers_were_timed_on_are_answered_and_more_beside() -> None:
    table = PAGE.partition("## Where is what")[2].partition("\n## ")[0]

    assert set(ASKED) < set(ANSWERS)
    assert len(ANSWERS) >= 10
    assert len(ANSWERS) == table.count("\n| ") - 2  # its head and the line below


@pytest.mark.parametrize("question", ANSWERS)
def test_an_answer_is_a_folder_a_module_and_a_function(question: str) -> None:
    folder, module, function = ANSWERS[question]

    assert folder + module in files()
    assert function in defined_in(folder + module)


def test_each_thing_that_is_added_has_its_files_in_order() -> None:
    sections = dict(re.findall(r"^## Adding ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))

    assert tuple(sections) == ADDED
    for steps in sections.values():
        numbers = [int(number) for number in re.findall(r"^(\d+)\. ", steps, re.MULTILINE)]
        assert len(numbers) >= 4
        assert numbers == [number for start in _starts(numbers) for number in start]


def _starts(numbers: list[int]) -> list[list[int]]:
    """Lists as they should be numbered: 1, 2, 3 … each."""
    ends = [*(index for index, number in enumerate(numbers) if number == 1 and index), len(numbers)]
    begins = [0, *ends[:-1]]
    return [list(range(1, end - begin + 1)) for begin, end in zip(begins, ends, strict=True)]
