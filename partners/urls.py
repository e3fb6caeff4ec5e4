"""Paths of a partner's own settings: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from partners.api.credentials import CredentialsViewSet

router = SimpleRouter(trailing_slash=False)
router.register("partners/my", CredentialsViewSet, basename="partners-credentials")

urlpatterns = router.urls
