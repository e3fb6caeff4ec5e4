"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.stopping import BlockedWalletsViewSet, PlatformStateViewSet

router = SimpleRouter(trailing_slash=False)
router.register("admin/platform", PlatformStateViewSet, basename="staff-platform")
router.register("admin/blocked-wallets", BlockedWalletsViewSet, basename="staff-blocked-wallets")

urlpatterns = router.urls
