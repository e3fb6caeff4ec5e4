"""Two people at the same moment: one approval makes the change, once, and one proposal is written."""

import pytest
from pytest_django.fixtures import Settings

from audit.models import AuditEntry
from authority.approvals import deciding
from authority.approvals.requiring import WaitsForApproval
from authority.models import Approval
from partner_platform.core.errors import PlatformError
from partners import services
from partners.models import ApiKey
from tests.core.concurrency import at_once
from tests.factories import ApiKeyFactory
from tests.support.approvals import acting, person, the_approval

pytestmark = pytest.mark.django_db(transaction=True)


def test_of_two_approvals_at_once_one_makes_the_change_and_of_two_proposals_there_is_one(settings: Settings) -> None:
    settings.APPROVALS = "required"
    old = ApiKeyFactory.create()
    maker, checkers = person("ann"), [person("bob"), person("carl")]

    def ask(number: int) -> None:
        with pytest.raises(WaitsForApproval):
            services.rotate_api_key(partner=old.partner, actor=acting(maker))

    at_once(2, ask)
    row = the_approval()

    def approve(number: int) -> str:
        try:
            done = deciding.approve(approval_id=str(row.pk), actor=acting(checkers[number]), reason="seen")
        except PlatformError as error:
            return str(error.code)
        return done.secrets["apiKey"][:4]

    assert sorted(at_once(2, approve)) == ["approval_closed", "pk_t"]
    assert ApiKey.objects.count() == 2
    assert AuditEntry.objects.filter(action="partner.api_key_rotated").count() == 1
    assert AuditEntry.objects.filter(action="approval.approved").count() == 1
    assert Approval.objects.get().status == "APPROVED"
