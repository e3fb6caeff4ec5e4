"""django-prometheus's metrics of requests, with labels that a caller cannot choose.

By default a histogram is labelled with the method as the caller wrote it, and a malformed Content-Length raises: an
attacker without a key could fill the memory with made-up methods, or cause a 500.
"""

from django.http import HttpRequest
from django_prometheus.middleware import Metrics, PrometheusAfterMiddleware, PrometheusBeforeMiddleware


class BeforeMiddleware(PrometheusBeforeMiddleware):
    """The outermost: all requests, and their time with all middleware."""


class AfterMiddleware(PrometheusAfterMiddleware):
    """The innermost: requests by view, method and status."""

    metrics_cls = Metrics

    def process_request(self, request: HttpRequest) -> None:
        try:
            super().process_request(request)
        except ValueError:  # the Content-Length is no number; others refuse such a request, or read nothing
            return

    def label_metric(self, metric: object, request: HttpRequest, response: object = None, **labels: str) -> object:
        """A child of `metric`; the method is one of HTTP's."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)
