"""Paths of the webhooks' partner API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

from webhooks.api.deliveries import DeliveriesViewSet
from webhooks.api.endpoint_acts import EndpointActsViewSet
from webhooks.api.endpoints import EndpointsViewSet

router = SimpleRouter(trailing_slash=False)
# Before the endpoints, whose ids are in the same place of the path.
router.register("partners/my/webhooks/deliveries", DeliveriesViewSet, basename="partners-deliveries")
router.register("partners/my/webhooks", EndpointsViewSet, basename="partners-webhooks")
router.register("partners/my/webhooks", EndpointActsViewSet, basename="partners-webhook-acts")

urlpatterns = router.urls
