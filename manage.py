#!/usr/bin/env python
"""The `agenthub` command, as Django projects are used to finding it."""

import sys

from agenthub.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
