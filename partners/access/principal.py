"""The authenticated caller of a partner request."""

from dataclasses import dataclass

from partners.models import Partner


@dataclass(frozen=True)
class PartnerPrincipal:
    """The `request.user` of a partner call."""

    partner: Partner

    @property
    def api_version(self) -> str:
        """The version of the contract that the partner is pinned to."""
        return self.partner.api_version

    @property
    def is_authenticated(self) -> bool:
        return True
