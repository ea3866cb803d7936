"""What can go wrong between us and the API server, as one exception."""

from typing import Final

NO_ANSWER: Final = 0


class KubeError(Exception):
    """A request without a usable answer.

    `status` is the HTTP status, 0 when there was no answer or an unreadable one. `reason` is the server's
    reason (NotFound, Conflict, Expired, ...) or ours: Unreachable, BadAnswer, BadConfig. The text names
    request and cause.
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def not_found(self) -> bool:
        return self.status == 404

    @property
    def conflict(self) -> bool:
        return self.status == 409

    @property
    def expired(self) -> bool:
        """The resource version or continue token is too old: list again."""
        return self.status == 410

    @property
    def unreachable(self) -> bool:
        return self.status == NO_ANSWER
