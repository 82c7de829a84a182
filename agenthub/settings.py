"""Django's settings. What may differ between machines comes through `core/environment.py`; the rest stands here."""

import os
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from agenthub.core.databases import postgresql_database, sqlite_database
from agenthub.core.environment import read_environment
from agenthub.core.logs import logging_settings
from agenthub.core.smtp import smtp_settings
from agenthub.core.version import VERSION
from agenthub.overview.theme import UNFOLD  # noqa: F401 - a setting too: the admin theme's

BASE_DIR = Path(__file__).resolve().parent.parent
ENVIRONMENT = read_environment(os.environ)

DEBUG = ENVIRONMENT.debug
SECRET_KEY = ENVIRONMENT.secret_key
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)

INSTALLED_APPS = [
    # daphne brings the development server; in production it would only cost memory.
    *(["daphne"] if DEBUG else []),
    "unfold",
    "unfold.contrib.filters",
    # Finds the admin classes when the web process asks for its addresses (urls.py): other processes do without them.
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "auditlog",
    "channels",
    "django_prometheus",
    "agenthub",
    "agenthub.core",
    "agenthub.overview",
    "agenthub.hub",
    "providers",
    "proxy",
    "heartbeat",
    "storagecustodian",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "agenthub.core.middleware.RequestIdMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "agenthub.core.middleware.ContentSecurityPolicyMiddleware",
    "agenthub.core.static.StaticFilesMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]

ROOT_URLCONF = "agenthub.urls"
ASGI_APPLICATION = "agenthub.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": (
        postgresql_database(ENVIRONMENT.database_url, pool_size=ENVIRONMENT.database_pool_size)
        if ENVIRONMENT.database_url is not None
        else sqlite_database(ENVIRONMENT.database_path)
    )
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"

# A backend may map hundreds of models, each with a dozen fields in one form.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# Static files are served out of where they lie (core/static.py), so there is no collecting to forget.
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_ALLOW_ALL_ORIGINS = False
WHITENOISE_MAX_AGE = 3600

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "agenthub.overview.openapi.HouseSchema",
}
SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "AgentHub",
    "VERSION": VERSION,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "OAS_VERSION": "3.1.0",
    "DESCRIPTION": "The OpenAI-compatible proxy, and the management API of the hub.",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": True,
    "PATH_CONVERTER_OVERRIDES": {"agent": str},
    "POSTPROCESSING_HOOKS": ["agenthub.overview.openapi.with_raw_operations"],
}

# Behind TLS the session and CSRF cookies never travel in the clear; the probes are asked by machines on the inside.
SECURE_SSL_REDIRECT = ENVIRONMENT.behind_tls
SECURE_REDIRECT_EXEMPT = [r"^health$", r"^ready$", r"^metrics$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if ENVIRONMENT.behind_tls else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENVIRONMENT.behind_tls
SECURE_HSTS_PRELOAD = ENVIRONMENT.behind_tls
SESSION_COOKIE_SECURE = ENVIRONMENT.behind_tls
CSRF_COOKIE_SECURE = ENVIRONMENT.behind_tls
CSRF_TRUSTED_ORIGINS = [ENVIRONMENT.public_url] if ENVIRONMENT.public_url is not None else []
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# Without a server no mail is sent, and who wants to send one is told so.
_SMTP = smtp_settings(ENVIRONMENT.smtp_url)
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
EMAIL_HOST, EMAIL_PORT = _SMTP.host, _SMTP.port
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _SMTP.user, _SMTP.password
EMAIL_USE_SSL, EMAIL_USE_TLS = _SMTP.tls, _SMTP.starttls
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = SERVER_EMAIL = ENVIRONMENT.mail_from

PROMETHEUS_EXPORT_MIGRATIONS = False

LOGGING = logging_settings(ENVIRONMENT)
