"""Every error that is the user's to mend: one clear line naming what was given, where, and what is allowed."""


class NavsimError(Exception):
    """Base of all errors with a message written for the user; scripts print it as one line and exit with 2."""


class ConfigError(NavsimError):
    """A configuration file, key or value that cannot be used."""


class TownError(NavsimError):
    """A town, map or route that cannot be built or driven."""


class ActionError(NavsimError):
    """A command to the car that is not finite or lies outside its range."""


class EpisodeError(NavsimError):
    """A recorded drive or a data folder that is missing, damaged, foreign or of another format."""


class CheckpointError(NavsimError):
    """A checkpoint that is missing, damaged or made for other cameras or another map."""


class DriverError(NavsimError):
    """A driver that cannot be made, raises an error, answers with no decision, or takes too long."""


class DisplayError(NavsimError):
    """A window was asked for where there is no display."""


class StorageError(NavsimError):
    """A file could not be written: no space, no permission, or something is already there."""
