"""``path("realtime/", include("rtsync.django.urls"))``."""

from __future__ import annotations

from django.urls import path

from rtsync.django import views

__all__ = ["app_name", "urlpatterns"]

app_name = "rtsync"
urlpatterns = [
    path("sessions", views.sessions, name="sessions"),
    path("sessions/<str:session_id>", views.session, name="session"),
    path("sessions/<str:session_id>/events", views.events, name="events"),
    path("sessions/<str:session_id>/socket", views.socket, name="socket"),
    path("client_secrets", views.client_secrets, name="client_secrets"),
    path("webhook", views.webhook, name="webhook"),
]
