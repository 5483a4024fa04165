"""``manage.py rtsync``."""
