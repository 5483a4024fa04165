"""As small as can be: no database, and no users but visitors."""

import os
import secrets
from pathlib import Path

import rtsync

ACCOUNTS = ("RTSYNC_TARGET", "AZURE_OPENAI_ENDPOINT", "OPENAI_API_KEY")
PAGE = Path(__file__).parent.parent / "flask_chat"


def target() -> rtsync.Target:
    try:
        return rtsync.target_from_env()  # Reads .env, too.
    except rtsync.ConfigurationError:
        if any(map(os.environ.get, ACCOUNTS)):
            raise
        return rtsync.Simulator(ears="auto", voice="auto", vad="auto")


SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY") or secrets.token_hex()  # Several processes need the same one.
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
ROOT_URLCONF = "urls"
INSTALLED_APPS = ["django.contrib.staticfiles", "rtsync.django"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [PAGE / "templates"]}]
TIME_ZONE = "UTC"
STATIC_URL = "static/"
STATICFILES_DIRS = [PAGE / "static"]

RTSYNC = {
    "OWNER": "urls.visitor",  # A project with users needs no such line.
    "BUS": os.environ.get("RTSYNC_BUS", "memory://"),
    "TARGET": target(),
    "AUDIO": True,
    "SESSION": {
        "instructions": "Talk with the visitor of a web page. Be brief, friendly and plain.",
        "audio": {"input": {"transcription": {"model": os.environ.get("TRANSCRIBER", "gpt-4o-mini-transcribe")}}},
    },
}
