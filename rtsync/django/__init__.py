"""Conversations in Django: ``INSTALLED_APPS += ["rtsync.django"]``, one setting ``RTSYNC``, and
``path("realtime/", include("rtsync.django.urls"))``.

    configuration  the setting, and the `application` that it makes: its `directory` is for views of the project's own
    views          requests of Django's in, its responses out; ``urls``: their routes
    socket         the relay's WebSocket, out of a WSGI server that can give one
    connections    the database, where handlers and tools run
    checks         what ``manage.py check`` says
    management     ``manage.py rtsync doctor`` and ``worker``

Needs the extra ``django``. What a page may do is said by ``rtsync.web``, who is logged in by Django.
"""

from rtsync.django.configuration import application
from rtsync.django.connections import fresh_connections

__all__ = ["application", "fresh_connections"]
