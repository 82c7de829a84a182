"""The version of this hub."""

VERSION = "0.1.0"
