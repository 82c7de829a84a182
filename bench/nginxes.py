"""nginx, with a configuration and a folder of our own: as the upstream of JSON, and as a plain proxy."""

import getpass
import os
import shutil
import subprocess

from bench.machine import cores, free_port
from bench.payload import JSON_ANSWER
from bench.processes import CantRun, Process, run_folder

PROGRAM = "nginx"

_FRAME = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_max_body_size 64m;
  client_body_buffer_size 1m;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{servers}
}}
"""
_ANSWERS = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    default_type application/json;
    location / {{ return 200 '{answer}'; }}
  }}
"""
_PROXY = """
  upstream up{port} {{ server 127.0.0.1:{to}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://up{port};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
"""


def found(program: str) -> str | None:
    """The path of an installed program; servers stand where people's PATH does not lead."""
    return shutil.which(program, path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")


def version() -> str:
    """The version of nginx."""
    program = found(PROGRAM)
    if program is None:
        return ""
    return (
        subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.strip().rpartition("/")[2]
    )


def _start(name: str, servers: str, *, core: int, port: int) -> Process:
    program = found(PROGRAM)
    if program is None:
        raise CantRun("nginx is not installed here.")
    folder = run_folder(name)
    config = folder / "nginx.conf"
    # As root, nginx would give its worker away to a user that may not read the folder.
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    config.write_text(_FRAME.format(user=user, folder=folder, servers=servers))
    process = Process([program, "-p", str(folder), "-c", str(config)], core=core, log=folder / f"{name}.log")
    process.wait_for_port(port)
    return process


def start_json_upstream(port: int) -> Process:
    """nginx answering one fixed completion, on the load's core."""
    return _start("upstream-json", _ANSWERS.format(port=port, answer=JSON_ANSWER), core=cores()[1], port=port)


def start_plain_proxy(json_port: int, stream_port: int) -> tuple[Process, int, int]:
    """nginx in front of both upstreams, on the gateway's core: the process and its two ports."""
    ports = free_port(), free_port()
    servers = _PROXY.format(port=ports[0], to=json_port) + _PROXY.format(port=ports[1], to=stream_port)
    return _start("nginx", servers, core=cores()[0], port=ports[0]), *ports
