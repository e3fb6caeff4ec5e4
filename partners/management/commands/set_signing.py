"""`manage.py set_signing`: whether a partner's calls must be signed, and in which version."""

from collections.abc import Mapping

from django.core.management.base import CommandParser

from authority.commands import StaffCommand
from partners import credentials
from partners.management.support import PARTNER_ID_HELP, require_partner

YES_OR_NO = ("yes", "no")


class Command(StaffCommand):
    help = (
        "Show or change how a partner signs: whether its calls must be signed, and whether signatures of version 1, "
        "which cover the body alone, are taken beside version 2."
    )
    field_options = {"signingRequired": "--required"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("partner_id", help=PARTNER_ID_HELP)
        parser.add_argument("--required", choices=YES_OR_NO, help="refuse unsigned calls")
        parser.add_argument("--v1", choices=YES_OR_NO, help="take signatures of version 1")

    def changes(self, options: Mapping[str, object]) -> bool:
        return bool(options["required"] or options["v1"])

    def act(self, *, partner_id: str, required: str | None, v1: str | None, **options: object) -> None:
        partner = require_partner(partner_id)
        if v1:
            partner = credentials.allow_signature_v1(partner=partner, actor=self.actor, allowed=v1 == "yes")
        if required:
            partner = credentials.set_signing_required(partner=partner, actor=self.actor, required=required == "yes")
        must = "must be signed" if partner.signing_required else "may be unsigned"
        versions = "1 and 2" if partner.signature_v1_allowed else "2 only"
        self.show(
            {
                "partnerId": partner.partner_id,
                "signingRequired": partner.signing_required,
                "signatureV1Allowed": partner.signature_v1_allowed,
            },
            f"Requests of {partner.partner_id} {must}; version {versions}.",
        )
