"""The two paths."""

from django.urls import path

from benchmarks.rival import views

urlpatterns = [
    path("partners/loan/<str:partner_loan_id>", views.LoanView.as_view()),
    path("empty", views.empty),
]
