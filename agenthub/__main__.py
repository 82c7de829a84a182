"""The `agenthub` command: `up` runs the hub, everything else is one of Django's management commands."""

import importlib
import os
import sys

from agenthub.core import envfile
from agenthub.core.env import EnvError
from agenthub.up.inherited import follow_parent

# Each has its reason not to be a management command: the parent stays free of Django, the web process sets it up
# itself, the demo only watches, a reload only asks the parent, the custodian is an agent.
OWN_COMMANDS = {
    "up": "agenthub.up.command",
    "reload": "agenthub.up.reload",
    "web": "agenthub.web",
    "demo": "agenthub.demo.run",
    "custodian": "storagecustodian.agent.run",
}


def main() -> int:
    """Run the command in `sys.argv`; the answer is the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")
    follow_parent(os.environ)
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    try:
        if command != "up":  # which reads the file again at each reload, so it has to tell its own variables from those
            envfile.FileEnvironment(os.environ)
        if command in OWN_COMMANDS:
            status: int = importlib.import_module(OWN_COMMANDS[command]).main()
            return status
        # Commands are written with dashes; the modules that Django looks for can't be.
        module = command if command.startswith("-") else command.replace("-", "_")
        importlib.import_module("django.core.management").execute_from_command_line(["agenthub", module, *sys.argv[2:]])
    except EnvError as problem:
        sys.stderr.write(f"agenthub: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
