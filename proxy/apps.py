"""The proxy as a Django application."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """Client keys, and the reads of /v1."""

    name = "proxy"
