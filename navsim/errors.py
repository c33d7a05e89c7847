"""Errors that the user can fix: one clear line with the key or file, the value given and what is allowed."""


class NavsimError(Exception):
    """Base of all errors with a message for the user; scripts print it as one line and exit with code 2."""


class ConfigError(NavsimError):
    """A configuration file, key or value that cannot be used."""


class TownError(NavsimError):
    """A town, map or route that cannot be built or driven."""


class ActionError(NavsimError):
    """A command to the car that is not finite or lies outside its range."""


class EpisodeError(NavsimError):
    """A recorded drive or data folder that is missing, damaged or in another format."""


class CheckpointError(NavsimError):
    """A checkpoint that is missing, damaged or made for other cameras or another map."""


class DriverError(NavsimError):
    """A driver that cannot be created, raises an error, returns no valid decision, or takes too long."""


class DisplayError(NavsimError):
    """A window that cannot be opened because a display is missing."""


class ReplacedError(NavsimError):
    """A file whose content has changed since a run began to use it."""


class StorageError(NavsimError):
    """A file that cannot be written: no space, no permission, or a file that already exists."""
