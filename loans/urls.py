"""Paths of the partner API, exactly as in the plan: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from loans.api.views import LoanViewSet, PublicViewSet

router = SimpleRouter(trailing_slash=False)
router.register("partners/public", PublicViewSet, basename="partners-public")
router.register("partners", LoanViewSet, basename="partners")

urlpatterns = router.urls
