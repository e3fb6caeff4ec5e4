"""Every path of the service. API paths carry no trailing slash."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import include, path

from partner_platform import api_docs, health, scraping
from partner_platform.core.web import exception_handler

handler400 = exception_handler.bad_request
handler404 = exception_handler.not_found
handler500 = exception_handler.server_error


def to_console(request: HttpRequest) -> HttpResponseRedirect:
    """A person who opens the bare address lands in the console."""
    return HttpResponseRedirect("/console/")


urlpatterns = [
    path("", to_console),
    path("", include("loans.urls")),
    path("", include("partners.urls")),
    path("", include("webhooks.urls")),
    path("", include("staff.urls")),
    path("health/live", health.Live.as_view()),
    path("health/ready", health.Ready.as_view()),
    path("metrics", scraping.metrics_page),
    path("openapi.json", api_docs.Schema.as_view()),
    path("docs", api_docs.swagger),
    path("docs/redoc", api_docs.redoc),
    path("console/", include("staff.console.urls")),
    path("console/", admin.site.urls),
]
