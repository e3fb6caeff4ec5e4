"""`manage.py demo`, so that `manage.py help` lists it; manage.py starts it before it loads Django's settings."""

from django.core.management.base import BaseCommand, CommandParser

from sandbox import demo


class Command(BaseCommand):
    help = demo.DESCRIPTION

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: object) -> CommandParser:
        """With the options of `sandbox.demo`, for `manage.py help demo`."""
        return CommandParser(prog="manage.py demo", description=self.help, parents=[demo.demo_options()])

    def run_from_argv(self, argv: list[str]) -> None:
        raise SystemExit(demo.main(argv[2:]))
