"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from staff.api.approvals import ApprovalsViewSet
from staff.api.auth import SignInViewSet, SignOutViewSet

router = SimpleRouter(trailing_slash=False)
router.register("auth", SignInViewSet, basename="sign-in")
router.register("auth", SignOutViewSet, basename="sign-out")
router.register("admin/approvals", ApprovalsViewSet, basename="approval")

urlpatterns = router.urls
