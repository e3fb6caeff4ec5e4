"""`manage.py rotate_encryption_key`: stored secrets under the first key of FIELD_ENCRYPTION_KEYS."""

from django.core.management.base import CommandError

from authority.commands import StaffCommand
from partner_platform.core.secrets.crypto import CannotDecrypt
from partners import credentials


class Command(StaffCommand):
    help = (
        "Encrypt every stored secret anew, with the first key of FIELD_ENCRYPTION_KEYS. Put the new key first and "
        "restart before, drop the old one after. It can run again, and beside a running platform."
    )

    def act(self, **options: object) -> None:
        try:
            counts = credentials.rotate_encryption_key(actor=self.actor)
        except CannotDecrypt as error:
            raise CommandError(f"{error}: put the key that was dropped back behind the others") from error
        lines = [f"{column}: {count}" for column, count in counts.items()]
        self.show(counts, *lines, f"{sum(counts.values())} secrets are under the first key.")
