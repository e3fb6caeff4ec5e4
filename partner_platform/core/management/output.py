"""What a command writes: sentences for a person, or with `--json` one JSON value for a program."""

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.money import format_dollars


class JsonCommand(BaseCommand):
    """A command with `--json`: standard output then holds one JSON value, and every sentence goes to standard error."""

    as_json = False

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """With the options that the class gives, whatever `add_arguments` of the command adds."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        self.add_common_options(parser)
        return parser

    def add_common_options(self, parser: CommandParser) -> None:
        """`--json`."""
        self.add_json_option(parser)

    def add_json_option(self, parser: CommandParser) -> None:
        """`--json`, for a command whose option is another one to replace."""
        parser.add_argument("--json", action="store_true", help="one JSON value on stdout; sentences on stderr")

    def execute(self, *args: Any, **options: Any) -> str | None:
        self.as_json = bool(options["json"])
        return super().execute(*args, **options)

    def say(self, sentence: str) -> None:
        """A sentence for a person."""
        if self.as_json:
            self.stderr.write(sentence, lambda text: text)  # not in the colour of an error
        else:
            self.stdout.write(sentence)

    def show(self, value: object, *lines: str) -> None:
        """The command's result: `value` as JSON, or the lines."""
        if self.as_json:
            self.stdout.write(json.dumps(value, indent=2))
        else:
            for line in lines:
                self.stdout.write(line)


def both_units(amount: int) -> str:
    """An amount of USDC for a person, in dollars and in base units: `$50000 (50000000000)`."""
    return f"{format_dollars(amount)} ({amount})"


def table(*rows: Sequence[str]) -> list[str]:
    """Rows of texts as lines, each column as wide as its longest text; the first row is the heading."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
