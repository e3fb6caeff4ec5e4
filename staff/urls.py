"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.analytics import AnalyticsViewSet, PartnerAnalyticsViewSet
from staff.api.approvals import ApprovalsViewSet
from staff.api.audit_logs import AuditLogsViewSet
from staff.api.auth import SignInViewSet, SignOutViewSet
from staff.api.loan_status import LoanStatusViewSet
from staff.api.loans import LoansViewSet
from staff.api.onboarding.records import OnboardingRecordsViewSet
from staff.api.onboarding.stages import OnboardingViewSet
from staff.api.partners.keys import PartnerKeysViewSet, RegenerationViewSet
from staff.api.partners.new_partner import NewPartnerViewSet
from staff.api.partners.partner_secrets import PartnerSecretsViewSet
from staff.api.partners.partner_status import PartnerStatusViewSet
from staff.api.partners.partners import PartnersViewSet
from staff.api.statements import PartnerStatementsViewSet
from staff.api.stopping import BlockedWalletsViewSet, PlatformStateViewSet

PARTNERS, LOANS = "admin/partners", "admin/loans"

router = SimpleRouter(trailing_slash=False)
router.register("auth", SignInViewSet, basename="sign-in")
router.register("auth", SignOutViewSet, basename="sign-out")
router.register("admin/approvals", ApprovalsViewSet, basename="approval")
# Before the partners by id: what is a word in its place.
router.register(PARTNERS, NewPartnerViewSet, basename="staff-new-partner")
router.register(PARTNERS, AuditLogsViewSet, basename="staff-audit-logs")
router.register(PARTNERS, PartnersViewSet, basename="staff-partners")
router.register(PARTNERS, PartnerStatusViewSet, basename="staff-partner-status")
router.register(PARTNERS, RegenerationViewSet, basename="staff-key-regeneration")
router.register(PARTNERS, PartnerSecretsViewSet, basename="staff-partner-secrets")
router.register(rf"{PARTNERS}/(?P<partner_id>[^/]+)/keys", PartnerKeysViewSet, basename="staff-partner-keys")
router.register(LOANS, LoansViewSet, basename="staff-loans")
router.register(LOANS, LoanStatusViewSet, basename="staff-loan-status")
router.register("admin/partners", PartnerAnalyticsViewSet, basename="staff-partner-analytics")
router.register("admin/analytics", AnalyticsViewSet, basename="staff-analytics")
router.register("admin/platform", PlatformStateViewSet, basename="staff-platform")
router.register("admin/blocked-wallets", BlockedWalletsViewSet, basename="staff-blocked-wallets")
router.register("admin/partners", OnboardingViewSet, basename="staff-onboarding")
router.register("admin/partners", OnboardingRecordsViewSet, basename="staff-onboarding-records")
router.register("admin/partners", PartnerStatementsViewSet, basename="staff-statements")

urlpatterns = router.urls
