"""What can go wrong with backups.

BackupError
├── BackupFailed     none was made
├── BackupUnusable   one that is there can't be used
└── RestoreRefused   nothing was touched
"""


class BackupError(Exception):
    """The message is for people: what happened, to what, and what to do."""


class BackupFailed(BackupError):
    """No backup was made; what had been written of it is gone."""


class BackupUnusable(BackupError):
    """A backup that is not whole, damaged, or of another kind of database."""


class RestoreRefused(BackupError):
    """Something stands against bringing a backup back; nothing was touched."""
