"""The only doors to the outside of the process: kernel, disk, BIRD. Nothing else imports a foreign library.

A port takes and returns values; whatever goes wrong outside becomes a PortError that names object, action
and cause.
"""


class PortError(Exception):
    """Something outside of the process refused or failed. The message names object, action and cause."""
