"""Paths of a partner's own settings: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from partners.api.credentials import KeysViewSet, SigningSecretViewSet

router = SimpleRouter(trailing_slash=False)
router.register("partners/my/keys", KeysViewSet, basename="partners-keys")
router.register("partners/my/signing-secret", SigningSecretViewSet, basename="partners-signing-secret")

urlpatterns = router.urls
