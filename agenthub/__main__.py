"""The `agenthub` command: `up` runs the hub, everything else is one of Django's management commands."""

import os
import sys


def main() -> int:
    """Run the command in `sys.argv`; the answer is the exit code."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agenthub.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(["agenthub", *sys.argv[1:]])
    return 0


if __name__ == "__main__":
    sys.exit(main())
