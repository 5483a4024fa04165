"""A Django project with conversations in it."""

from __future__ import annotations

import os

from rtsync import Simulator

SECRET_KEY = "of the tests, and of nothing else"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.django.project.urls"
WSGI_APPLICATION = "tests.django.project.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"  # Django sets that of the process.
LOGGING_CONFIG = None  # That is the tests'.

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "rtsync.django"]
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["PROJECT_DATABASE"],
        "ATOMIC_REQUESTS": True,  # As some have it.
        "CONN_MAX_AGE": None,
    }
}
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
LOGIN_URL = "/login"

RTSYNC = {
    "TARGET": Simulator(pace=False),
    "BUS": os.environ.get("RTSYNC_BUS", "memory://"),
    "SESSION": {"output_modalities": ["text"]},
    "PREPARE": ["tests.django.project.voice.prepare"],
    "TOOLS": ["tests.django.project.voice.count_users"],
    "MAX_STREAMS": 4,
    "MAX_STREAMS_PER_OWNER": 2,
    "HEARTBEAT": 0.2,
}
