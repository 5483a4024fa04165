"""The application, as Django knows it."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from rtsync.django.checks import check_settings
from rtsync.django.configuration import forget

__all__ = ["RealtimeConfig"]


class RealtimeConfig(AppConfig):
    """``INSTALLED_APPS += ["rtsync.django"]``."""

    name = "rtsync.django"
    label = "rtsync"
    verbose_name = "rtsync"

    def ready(self) -> None:
        """Have the setting checked, and followed where tests override it."""
        checks.register(check_settings, "rtsync")
        setting_changed.connect(forget, dispatch_uid="rtsync.django")
