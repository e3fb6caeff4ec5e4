"""Paths of the staff API: no trailing slash, no version prefix."""

from rest_framework.routers import SimpleRouter

router = SimpleRouter(trailing_slash=False)

urlpatterns = router.urls
