"""Durations as people write them in objects: "9s", "1m30s", "2h"."""

import re
from typing import Final

_FORM: Final = re.compile(r"(?:(\d{1,2})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?")


def parse_seconds(text: str) -> int | None:
    """Whole seconds of a Go-style duration; None for anything else, the empty text included."""
    match = _FORM.fullmatch(text)
    if not text or match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
