"""Make .venv and install what a lock file names: `python3 docker/bootstrap.py server|dev|docs`.

Runs on a bare Python, so it uses nothing but the standard library, in words that older Pythons understand too, so that
those can say that they are too old. Doing it again with nothing changed does nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys

OLDEST = (3, 11)
NEEDED_BYTES = 700 * 1024 * 1024
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
REQUIREMENTS = os.path.join(ROOT, "docker", "requirements")

# The lock for tests holds everything that the server needs, so it satisfies both.
COVERS = {"server": ("server",), "dev": ("dev", "server"), "docs": ("docs",)}

# uv does not read pip's configuration: what a machine says to pip is handed on under uv's names.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "cert": "SSL_CERT_FILE",
}

COMMAND = """#!{python}
import sys

from agenthub.__main__ import main

sys.exit(main())
"""


def stop(message: str) -> None:
    """End with one clear line."""
    sys.stderr.write("AgentHub setup: " + message + "\n")
    sys.exit(1)


def main() -> None:
    """Install the lock file that the argument names, unless that has been done."""
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in COVERS:
        stop("say what to install: " + ", ".join(COVERS) + ".")
    if sys.version_info < OLDEST:
        stop(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed, and {sys.executable} is {sys.version.split()[0]}. "
            "Install a newer one, or name it: make PYTHON=/path/to/it"
        )
    with open(os.path.abspath(__file__)) as lock:
        # Two makes at the same time: the second waits, and finds everything done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed(name):
            install(name)


def installed(name: str) -> bool:
    """Whether the lock file, as it is now, has been installed into this .venv at this place."""
    with contextlib.suppress(OSError), open(stamp(name)) as file:
        return file.read() == state(name) and os.path.exists(PYTHON)
    return False


def install(name: str) -> None:
    """Make .venv where it is missing, and bring the packages of the lock file into it."""
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES:
        stop(f"the disk of {ROOT} has {free >> 20} MB left, and {NEEDED_BYTES >> 20} are needed.")
    sys.stdout.write(f"Installing the packages of docker/requirements/{name}.txt into .venv ...\n")
    sys.stdout.flush()
    make_venv()
    run([PYTHON, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"], "bootstrap", None)
    uv = [os.path.join(VENV, "bin", "uv"), "pip", "install", "-q", "--python", PYTHON, "--require-hashes"]
    run(uv, name, uv_environment())
    link()
    for covered in COVERS[name]:
        with open(stamp(covered), "w") as file:
            file.write(state(covered))


def make_venv() -> None:
    """A virtual environment with pip; one that does not run is made anew."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        subprocess.run([PYTHON, "-c", "import pip"], check=True, capture_output=True)
        return
    shutil.rmtree(VENV, ignore_errors=True)
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        stop(
            f"{sys.executable} can't make a virtual environment. On Debian and Ubuntu: apt install python3-venv\n"
            f"{made.stdout}{made.stderr}"
        )


def run(command: list[str], name: str, environment: dict[str, str] | None) -> None:
    """Install one lock file with a command."""
    file = os.path.join(REQUIREMENTS, name + ".txt")
    if subprocess.run([*command, "-r", file], env=environment, check=False).returncode != 0:
        stop(f"installing {os.path.relpath(file, ROOT)} failed; the reason stands above.")


def uv_environment() -> dict[str, str]:
    """The environment for uv: what pip is told by its configuration and environment, under uv's names."""
    listed = subprocess.run([PYTHON, "-m", "pip", "config", "list"], check=True, capture_output=True, text=True).stdout
    told = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        if option in UV_NAMES:
            told[UV_NAMES[option]] = " ".join(value.strip("'\"").replace("\\n", " ").split())
    # The hashes decide what is installed, so it does not matter which index has it.
    told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return {**told, **os.environ}


def link() -> None:
    """Make the project importable in .venv, and the command `agenthub` with it."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    with open(os.path.join(packages, "agenthub.pth"), "w") as file:
        file.write(ROOT + "\n")
    command = os.path.join(VENV, "bin", "agenthub")
    with open(command, "w") as file:
        file.write(COMMAND.format(python=PYTHON))
    os.chmod(command, 0o755)


def stamp(name: str) -> str:
    """The file that says what has been installed."""
    return os.path.join(VENV, ".installed-" + name)


def state(name: str) -> str:
    """What an installation depends on: the lock files, the place and this script."""
    digest = hashlib.sha256(ROOT.encode())
    for path in (os.path.join(REQUIREMENTS, name + ".txt"), os.path.abspath(__file__)):
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


if __name__ == "__main__":
    main()
