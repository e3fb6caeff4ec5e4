"""Paths of the webhooks' partner API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from webhooks.api.feed import FeedViewSet

router = SimpleRouter(trailing_slash=False)
router.register("partners/my", FeedViewSet, basename="partners-events")

urlpatterns = router.urls
