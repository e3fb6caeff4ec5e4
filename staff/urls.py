"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.onboarding import OnboardingViewSet
from staff.api.onboarding_records import OnboardingRecordsViewSet
from staff.api.statements import PartnerStatementsViewSet

router = SimpleRouter(trailing_slash=False)
router.register("admin/partners", OnboardingViewSet, basename="staff-onboarding")
router.register("admin/partners", OnboardingRecordsViewSet, basename="staff-onboarding-records")
router.register("admin/partners", PartnerStatementsViewSet, basename="staff-statements")

urlpatterns = router.urls
