"""The console's login form, with limits on guessing passwords (`staff.access.guessing`)."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from staff.access import guessing


def login(request: HttpRequest) -> HttpResponse:
    """Django's own login view, or 429."""
    if request.method != "POST":
        return admin.site.login(request)
    name = request.POST.get("username", "")
    if guessing.is_one_too_many(request, name):
        message = "Too many attempts. Try again in some minutes."
        retry_after = {"Retry-After": str(guessing.RETRY_AFTER_SECONDS)}
        return HttpResponse(message, status=429, content_type="text/plain", headers=retry_after)
    response = admin.site.login(request)
    if response.status_code == 302:  # it sends on whoever is signed in, and nobody else
        guessing.forgive_try(request, name)
    return response
