"""The page, who its visitors are, and the routes of rtsync."""

import secrets

from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.cache import never_cache

from rtsync.django import application

# Scripts and styles are files of ours, and nothing else is loaded from anywhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ws://{0} wss://{0};"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def visitor(request: HttpRequest) -> str | None:
    """Whose conversations these are, from Django's signed cookie."""
    name: str | None = request.session.get("visitor")
    return name


@never_cache
def page(request: HttpRequest) -> HttpResponse:
    request.session.setdefault("visitor", secrets.token_urlsafe())
    told = {"base": "/realtime", "static": static(""), "service": type(application().target()).__name__}
    response = render(request, "chat.html", told)
    response["Content-Security-Policy"] = POLICY.format(request.get_host())
    response["Permissions-Policy"] = "microphone=(self)"
    return response


urlpatterns = [path("", page), path("realtime/", include("rtsync.django.urls")), *staticfiles_urlpatterns()]
