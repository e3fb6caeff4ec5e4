"""One endpoint behind the platform's own authentication, and one that anyone may call."""

from typing import Any

from django.contrib import admin
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from partner_platform.core.web import exception_handler
from partners.access.admission import PublicThrottle

handler404 = exception_handler.not_found
handler500 = exception_handler.server_error


class Whoami(APIView):
    def get(self, request: Request, **path: str) -> Response:
        principal: Any = request.user
        return Response({"partnerId": principal.partner.partner_id})

    def post(self, request: Request) -> Response:
        return Response({"received": request.data}, status=201)


class Public(APIView):
    authentication_classes = []
    permission_classes = []
    throttle_classes = [PublicThrottle]

    def get(self, request: Request, **path: str) -> Response:
        return Response({})


class Broken(Public):
    def get(self, request: Request, **path: str) -> Response:
        raise RuntimeError("a bug with a secret inside")


urlpatterns = [
    path("partners/whoami", Whoami.as_view()),
    path("partners/loan/<str:loan_id>", Whoami.as_view()),
    path("partners/public/oaid/<str:token_id>/credit-line", Public.as_view()),
    path("partners/broken", Broken.as_view()),
    path("elsewhere", Public.as_view()),
    path("console/", admin.site.urls),
]
