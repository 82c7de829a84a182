"""The checks that AgentHub brings: of the machine, and of what it depends on. Percentages and bounds are arguments."""

import os
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.db import connection

from heartbeat.callables import component_check
from heartbeat.rules.host import Finding, Level, days_level, level_of, memory_used_percent, used_percent, worst
from providers.models import Backend
from providers.rules.table import BackendStatus, HealthState

CONNECT_SECONDS = 3.0


@component_check
def disk(*, path: str = "", warn: float = 80, critical: float = 90) -> Finding:
    """Space and inodes of the file system that holds `path`, by default the data folder, in per cent used."""
    place = Path(path) if path else settings.ENVIRONMENT.data_dir
    found = os.statvfs(place)
    space = used_percent(total=found.f_blocks, free=found.f_bfree, available=found.f_bavail)
    findings = [Finding(level_of(space, warn=warn, critical=critical), f"{place}: {space:.0f} % of the space is used")]
    if found.f_files:  # some file systems do not count inodes
        inodes = used_percent(total=found.f_files, free=found.f_ffree, available=found.f_favail)
        text = f"{place}: {inodes:.0f} % of the inodes are used"
        findings.append(Finding(level_of(inodes, warn=warn, critical=critical), text))
    return worst(findings)


@component_check
def memory(*, warn: float = 85, critical: float = 95) -> Finding:
    """Memory that is not available, in per cent."""
    used = memory_used_percent(Path("/proc/meminfo").read_text())
    return Finding(level_of(used, warn=warn, critical=critical), f"{used:.0f} % of the memory is used")


@component_check
def load(*, warn: float = 2, critical: float = 4) -> Finding:
    """The load of the last minute for each core."""
    per_core = os.getloadavg()[0] / (os.cpu_count() or 1)
    return Finding(level_of(per_core, warn=warn, critical=critical), f"the load is {per_core:.2f} for each core")


@component_check
def ports(*, ports: list[int], host: str = "127.0.0.1") -> Finding:
    """That somebody listens on each of the ports."""
    closed = [port for port in ports if not _listens(host, port)]
    if closed:
        return Finding(Level.CRITICAL, f"nobody listens on {host}:{', '.join(map(str, closed))}")
    return Finding(Level.OK, f"{len(ports)} ports are open")


def _listens(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@component_check
def processes(*, names: list[str]) -> Finding:
    """That a process of each name runs on this machine."""
    missing = sorted(set(names) - _running())
    if missing:
        return Finding(Level.CRITICAL, f"no process runs that is called {', '.join(missing)}")
    return Finding(Level.OK, f"{len(names)} processes run")


def _running() -> set[str]:
    found = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                found |= {(folder / "comm").read_text().strip(), os.path.basename(os.fsdecode(words[0]))}
            except OSError:
                continue  # it has ended meanwhile
    return found


@component_check
def certificate(*, host: str, port: int = 443, warn_days: float = 30, critical_days: float = 7) -> Finding:
    """How long the TLS certificate of a server is still good."""
    # Whether anybody trusts it is another question: an expired one must be readable to be told of.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((host, port), CONNECT_SECONDS) as connected,
        context.wrap_socket(connected, server_hostname=host) as encrypted,
    ):
        shown = encrypted.getpeercert(binary_form=True)
    if shown is None:
        return Finding(Level.CRITICAL, f"{host}:{port} shows no certificate")
    left = x509.load_der_x509_certificate(shown).not_valid_after_utc - datetime.now(UTC)
    days = left.total_seconds() / 86_400
    level = days_level(days, warn_days=warn_days, critical_days=critical_days)
    words = f"ends in {days:.0f} days" if days >= 0 else f"ended {-days:.0f} days ago"
    return Finding(level, f"the certificate of {host}:{port} {words}")


@component_check
def database() -> Finding:
    """That the database answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return Finding(Level.OK, f"{connection.vendor} answers")


@component_check
def redis_server() -> Finding:
    """That Redis answers."""
    import redis  # noqa: PLC0415 - an embedded hub has no need of it

    with redis.Redis.from_url(settings.ENVIRONMENT.redis_url or "", socket_timeout=CONNECT_SECONDS) as client:
        client.ping()
    return Finding(Level.OK, "Redis answers")


@component_check
def backends() -> Finding:
    """That an enabled backend may be used, where there is any."""
    enabled = Backend.objects.filter(enabled=True)
    count = enabled.count()
    usable = enabled.exclude(status=BackendStatus.ERROR).exclude(health__state=HealthState.DOWN).count()
    if count and not usable:
        return Finding(Level.CRITICAL, f"all {count} enabled backends are in error or down")
    return Finding(Level.OK, f"{usable} of {count} enabled backends may be used")
