"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.approvals import ApprovalsViewSet

router = SimpleRouter(trailing_slash=False)
router.register("admin/approvals", ApprovalsViewSet, basename="approval")

urlpatterns = router.urls
