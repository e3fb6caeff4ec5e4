"""`make fault-table`: writes the table of docs/faults.md from the catalogue and the tests' names.

Only what is between the two markers is written; the text around it is written by hand.
"""

from tests.faults.catalog import FAULTS, TESTS, suite_by_file

PAGE = TESTS.parent / "docs" / "faults.md"
BEGIN, END = "<!-- from here on written by `make fault-table` -->\n", "<!-- up to here -->\n"


def table() -> str:
    """The table in Markdown: a row for each file that proves something about a fault."""
    lines = ["| fault | what happens | file | tests |", "| --- | --- | --- | --- |"]
    proven = suite_by_file()
    for number, what in FAULTS.items():
        for file, names in proven[number].items():
            link = f"[{file}](../{file})"
            lines.append(f"| F{number} | {what} | {link} | {'<br>'.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The page with the table of now between its markers."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has lost its markers")
    return f"{before}{begin}\n{table()}\n{end}{after}"


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
