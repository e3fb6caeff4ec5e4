"""`manage.py sandbox`, so that `manage.py help` lists it; manage.py starts it before it loads Django's settings."""

from django.core.management.base import BaseCommand, CommandParser

from sandbox import cli


class Command(BaseCommand):
    help = cli.DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: object) -> CommandParser:
        """With the options of `sandbox.cli`, for `manage.py help sandbox`."""
        return CommandParser(prog="manage.py sandbox", description=self.help, parents=[cli.sandbox_options()])

    def run_from_argv(self, argv: list[str]) -> None:
        raise SystemExit(cli.main(argv[2:]))
