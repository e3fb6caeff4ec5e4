"""The loan read, and a view that does nothing."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.decorators import method_decorator
from django_ratelimit.decorators import ratelimit
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ModelSerializer
from rest_framework_api_key.permissions import BaseHasAPIKey
from rest_framework_tracking.mixins import LoggingMixin

from benchmarks.rival.models import PartnerAPIKey, RivalLoan


class HasPartnerAPIKey(BaseHasAPIKey):
    model = PartnerAPIKey


class LoanSerializer(ModelSerializer):
    class Meta:
        model = RivalLoan
        exclude = ("id", "partner")


class LoanView(LoggingMixin, RetrieveAPIView):
    permission_classes = [HasPartnerAPIKey]
    serializer_class = LoanSerializer
    lookup_field = "partner_loan_id"

    def get_queryset(self) -> Any:
        key = self.request.META["HTTP_AUTHORIZATION"].split()[1]
        api_key = PartnerAPIKey.objects.get_from_key(key)
        return RivalLoan._default_manager.filter(partner_id=api_key.partner_id)

    @method_decorator(ratelimit(key="header:authorization", rate="1000000/m", block=True))
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")
