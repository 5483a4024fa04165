"""Its routes."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.urls import include, path

__all__ = ["urlpatterns"]


@login_not_required
def page(request: HttpRequest) -> HttpResponse:
    """A page; it has the token that its posts need."""
    return HttpResponse(get_token(request))


urlpatterns = [path("", page), path("realtime/", include("rtsync.django.urls"))]
