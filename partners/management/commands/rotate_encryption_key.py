"""`manage.py rotate_encryption_key`: stored secrets under the first key of FIELD_ENCRYPTION_KEYS."""

from django.core.management.base import BaseCommand, CommandError

from partner_platform.core.secrets.crypto import CannotDecrypt
from partners import credentials
from partners.management.support import ACTOR


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret anew, with the first key of FIELD_ENCRYPTION_KEYS. Put the new key first and "
        "restart before, drop the old one after. It can run again, and beside a running platform."
    )

    def handle(self, *args: object, **options: object) -> None:
        try:
            counts = credentials.rotate_encryption_key(actor=ACTOR)
        except CannotDecrypt as error:
            raise CommandError(f"{error}: put the key that was dropped back behind the others") from error
        for column, count in counts.items():
            self.stdout.write(f"{column}: {count}")
        self.stdout.write(f"{sum(counts.values())} secrets are under the first key.")
