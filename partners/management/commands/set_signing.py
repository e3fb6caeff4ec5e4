"""`manage.py set_signing`: whether a partner's calls must be signed, and in which version."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from partner_platform.core.errors import BadRequest
from partners import credentials
from partners.management.support import ACTOR, command_error, require_partner

YES_OR_NO = ("yes", "no")


class Command(BaseCommand):
    help = (
        "Show or change how a partner signs: whether its calls must be signed, and whether signatures of version 1, "
        "which cover the body alone, are taken beside version 2."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help="such as partner_xyz_lending_001")
        parser.add_argument("--required", choices=YES_OR_NO, help="refuse unsigned calls")
        parser.add_argument("--v1", choices=YES_OR_NO, help="take signatures of version 1")

    def handle(self, *args: Any, **options: Any) -> None:
        partner = require_partner(options["partner_id"])
        try:
            if options["v1"]:
                allowed = options["v1"] == "yes"
                partner = credentials.allow_signature_v1(partner=partner, actor=ACTOR, allowed=allowed)
            if options["required"]:
                required = options["required"] == "yes"
                partner = credentials.set_signing_required(partner=partner, actor=ACTOR, required=required)
        except BadRequest as error:
            raise command_error(error, {"signingRequired": "--required"}) from error
        must = "must be signed" if partner.signing_required else "may be unsigned"
        versions = "1 and 2" if partner.signature_v1_allowed else "2 only"
        self.stdout.write(f"Requests of {partner.partner_id} {must}; version {versions}.")
