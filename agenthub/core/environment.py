"""What a process knows before it can ask the database: the environment, read once and checked."""

import hashlib
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from agenthub.core.crypto import KeyRing, MalformedKey
from agenthub.core.databases import POOL_SIZE
from agenthub.core.env import EnvError, Reader
from agenthub.core.params import InvalidSetting, resolve
from agenthub.core.secrets import stored_secret, stored_secrets

SECRET_KEY_LENGTH = 16
ADMIN_TOKEN_LENGTH = 8
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """The environment table of the README as typed values; secrets are kept out of its repr."""

    host: str
    port: int
    metrics_host: str
    metrics_port: int  # 0 = off
    data_dir: Path
    database_path: Path  # the SQLite file; unused with database_url
    backup_dir: Path
    log_dir: Path | None
    log_level: str
    log_format: Literal["console", "json"]
    workers: int
    database_url: str | None = field(repr=False)
    database_pool_size: int  # connections to PostgreSQL that one process holds at most
    redis_url: str | None = field(repr=False)
    encryption_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    admin_token: str | None = field(repr=False)  # None: the management API takes staff sessions only
    admin_user: str
    admin_password: str | None = field(repr=False)  # None: generated when the admin is created
    proxy_auth: Literal["required", "open"]
    journal_sync: Literal["group", "always"]
    allow_private_upstreams: bool
    public_url: str | None
    smtp_url: str | None = field(repr=False)  # None: no mail is sent
    mail_from: str
    allowed_hosts: tuple[str, ...]
    trusted_proxies: tuple[str, ...]
    short_way: bool  # completions are served in the callbacks of uvicorn's protocol; off: by ASGI as all else
    debug: bool

    @property
    def distributed(self) -> bool:
        """Whether other hubs may share this one's database or Redis."""
        return self.database_url is not None or self.redis_url is not None

    @property
    def name_on_redis(self) -> str:
        """What the queue of jobs and the topic of gateways are called on Redis, by secret and name of the database.

        The host of the database is left out, since nodes may reach it by several. What limits hold goes by the secret
        alone (`proxy.lifespan`): nodes that call one database by two names must still not let through twice as much.
        """
        database = urlsplit(self.database_url).path if self.database_url is not None else str(self.database_path)
        return hashlib.sha256(f"{self.secret_key}\0{database}".encode()).hexdigest()[:12]

    @property
    def behind_tls(self) -> bool:
        """Whether people reach the hub by https."""
        return self.public_url is not None and self.public_url.startswith("https:")

    @property
    def journal_dir(self) -> Path:
        """Where usage waits for the database."""
        return self.data_dir / "journal"

    @property
    def uploads_dir(self) -> Path:
        """Forms on their way through, in files without names."""
        return self.data_dir / "uploads"

    @property
    def queue_dir(self) -> Path:
        """Where the messages of an embedded hub's jobs lie."""
        return self.data_dir / "queue"

    @property
    def checkpoints_dir(self) -> Path:
        """Where the files of checkpoints lie, if there are any."""
        return self.data_dir / "checkpoints"

    @property
    def metrics_dir(self) -> Path:
        """Where the processes of one hub keep their counters."""
        return self.data_dir / "metrics"


def read_environment(environ: Mapping[str, str]) -> Environment:
    """The checked environment; an embedded hub's own secrets are made when they are missing. Raises EnvError."""
    read = Reader(environ)
    _check_settings(environ)
    host = read.host("AGENTHUB_HOST", "127.0.0.1", sidecar="SIDECAR_HOST")
    data_dir = read.path("AGENTHUB_DATA_DIR", Path("data"))
    database_url = read.url("DATABASE_URL", ("postgresql", "postgres"))
    redis_url = read.url("REDIS_URL", ("redis", "rediss"))
    distributed = database_url is not None or redis_url is not None
    log_dir = read.text("AGENTHUB_LOG_DIR")
    public_url = read.url("AGENTHUB_PUBLIC_URL", ("http", "https"))
    secrets = _secrets(read, data_dir, distributed=distributed)
    return Environment(
        host=host,
        port=read.port("AGENTHUB_PORT", 9190, sidecar="SIDECAR_PORT"),
        metrics_host=read.host("AGENTHUB_METRICS_HOST", "127.0.0.1"),
        metrics_port=read.port("AGENTHUB_METRICS_PORT", 9191, sidecar="SIDECAR_METRICS_PORT"),
        data_dir=data_dir,
        database_path=read.path("SIDECAR_DB_PATH", data_dir / "agenthub.sqlite3"),
        backup_dir=read.path("AGENTHUB_BACKUP_DIR", data_dir / "backups", sidecar="SIDECAR_BACKUP_DIR"),
        log_dir=Path(log_dir).expanduser().absolute() if log_dir is not None else None,
        log_level=read.choice("AGENTHUB_LOG_LEVEL", "INFO", LOG_LEVELS, sidecar="LOG_LEVEL"),
        log_format=cast(
            Literal["console", "json"],
            read.choice("AGENTHUB_LOG_FORMAT", "console", ("console", "json"), sidecar="LOG_FORMAT"),
        ),
        workers=read.integer("AGENTHUB_WORKERS", 1, at_least=1, at_most=256),
        database_url=database_url,
        database_pool_size=read.integer("AGENTHUB_DATABASE_POOL_SIZE", POOL_SIZE, at_least=1, at_most=1000),
        redis_url=redis_url,
        encryption_key=_encryption_key(secrets["AGENTHUB_ENCRYPTION_KEY"]),
        secret_key=_long_enough("AGENTHUB_SECRET_KEY", secrets["AGENTHUB_SECRET_KEY"], SECRET_KEY_LENGTH),
        admin_token=_admin_token(secrets.get("AGENTHUB_ADMIN_TOKEN")),
        admin_user=read.text("AGENTHUB_ADMIN_USER") or "admin",
        admin_password=read.text("AGENTHUB_ADMIN_PASSWORD"),
        proxy_auth=_proxy_auth(read, host),
        journal_sync=cast(
            Literal["group", "always"], read.choice("AGENTHUB_JOURNAL_SYNC", "group", ("group", "always"))
        ),
        allow_private_upstreams=read.boolean("AGENTHUB_ALLOW_PRIVATE_UPSTREAMS", default=not distributed),
        public_url=public_url.rstrip("/") if public_url is not None else None,
        smtp_url=read.url("AGENTHUB_SMTP_URL", ("smtp", "smtps", "smtp+starttls")),
        mail_from=read.text("AGENTHUB_MAIL_FROM") or "agenthub@localhost",
        allowed_hosts=_allowed_hosts(read, host, public_url),
        trusted_proxies=read.names("AGENTHUB_TRUSTED_PROXIES"),
        short_way=read.boolean("AGENTHUB_SHORT_WAY", default=True),
        debug=read.boolean("AGENTHUB_DEBUG", default=False),
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that is bound to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_settings(environ: Mapping[str, str]) -> None:
    try:
        resolve({}, environ)
    except InvalidSetting as problem:
        raise EnvError(str(problem)) from None


def _secrets(read: Reader, data_dir: Path, *, distributed: bool) -> dict[str, str]:
    """The three secrets: from the environment, else (embedded only) from the data folder."""
    given = {
        "AGENTHUB_ENCRYPTION_KEY": read.text("AGENTHUB_ENCRYPTION_KEY", sidecar="SIDECAR_ENCRYPTION_KEY"),
        "AGENTHUB_SECRET_KEY": read.text("AGENTHUB_SECRET_KEY"),
        "AGENTHUB_ADMIN_TOKEN": read.text("AGENTHUB_ADMIN_TOKEN", sidecar="SIDECAR_ADMIN_TOKEN"),
    }
    if not distributed and read.raw("AGENTHUB_ENCRYPTION_KEY")[1] is None:
        # A hub that has made a key of its own keeps to it: beside an import, the older name is the key of Sidecar.
        own = stored_secret(data_dir, "AGENTHUB_ENCRYPTION_KEY")
        given["AGENTHUB_ENCRYPTION_KEY"] = own or given["AGENTHUB_ENCRYPTION_KEY"]
    missing = [name for name, value in given.items() if value is None]
    known = {name: value for name, value in given.items() if value is not None}
    if not distributed:
        return known | (stored_secrets(data_dir, missing) if missing else {})
    required = [name for name in missing if name != "AGENTHUB_ADMIN_TOKEN"]
    if required:
        raise EnvError(
            f"{' and '.join(required)} must be set when DATABASE_URL or REDIS_URL is: every node needs the same value."
        )
    return known


def _encryption_key(text: str) -> str:
    try:
        KeyRing.from_text(text)
    except MalformedKey as problem:
        raise EnvError(
            f"AGENTHUB_ENCRYPTION_KEY must be 64 hex characters, or several such keys separated by commas. {problem}"
        ) from None
    return text


def _long_enough(name: str, value: str, length: int) -> str:
    if len(value) < length or len(set(value)) < 5:
        raise EnvError(f"{name} must be at least {length} random characters; it has {len(value)}.")
    return value


def _admin_token(value: str | None) -> str | None:
    return None if value is None else _long_enough("AGENTHUB_ADMIN_TOKEN", value, ADMIN_TOKEN_LENGTH)


def _proxy_auth(read: Reader, host: str) -> Literal["required", "open"]:
    value = read.choice("AGENTHUB_PROXY_AUTH", "required", ("required", "open"))
    if value == "open" and not is_loopback(host):
        raise EnvError(
            f"AGENTHUB_PROXY_AUTH=open serves everyone without a key, so it needs AGENTHUB_HOST to be a loopback "
            f"address, not {host}."
        )
    return cast(Literal["required", "open"], value)


def _allowed_hosts(read: Reader, host: str, public_url: str | None) -> tuple[str, ...]:
    """The Host headers that are answered: those of this machine, the bound address, the public URL, and given ones."""
    given = read.names("AGENTHUB_ALLOWED_HOSTS")
    public = urlsplit(public_url).hostname if public_url else None
    names = ["localhost", "127.0.0.1", "[::1]", *given, *([public] if public else [])]
    if host not in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        names.append(f"[{host}]" if ":" in host else host)
    elif not given and not public:
        # Bound to every address and told no name: which names lead here can't be known.
        names.append("*")
    return tuple(dict.fromkeys(names))
