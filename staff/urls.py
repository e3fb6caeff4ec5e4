"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.analytics import AnalyticsViewSet, PartnerAnalyticsViewSet

router = SimpleRouter(trailing_slash=False)
router.register("admin/partners", PartnerAnalyticsViewSet, basename="staff-partner-analytics")
router.register("admin/analytics", AnalyticsViewSet, basename="staff-analytics")

urlpatterns = router.urls
