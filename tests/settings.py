"""Django's settings for the tests: those of the product, read from an environment that no developer has touched."""

import atexit
import os
import shutil
import tempfile

OURS = ("AGENTHUB_", "SIDECAR_", "LOG_", "DATABASE_URL", "REDIS_URL", "PROMETHEUS_")
for _name in [name for name in os.environ if name.startswith(OURS)]:
    del os.environ[_name]

_data_dir = tempfile.mkdtemp(prefix="agenthub-test-")
atexit.register(shutil.rmtree, _data_dir, ignore_errors=True)
os.environ["AGENTHUB_DATA_DIR"] = _data_dir
os.environ["AGENTHUB_LOG_LEVEL"] = "WARNING"

from agenthub.settings import *  # noqa: E402, F403

# Signing people in costs as much time as it can on purpose; tests sign in often.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
