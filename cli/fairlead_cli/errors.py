"""Why there is no answer, in one line that says what to do."""

from __future__ import annotations

import re

from fairlead_kube.errors import KubeError

CRD_PATH = re.compile(r"/apis/fairlead\.dev/[^/ ]+/([a-z]+)(?![a-z/])")


def explain(error: KubeError, server: str) -> str:
    """One line for a person at a shell; `server` is "" when not even a configuration was found."""
    if error.reason == "BadConfig":
        return f"no cluster to ask: {error.message}"
    if error.status == 401:
        return f"{server} does not know who you are (401): log in again or choose another --context"
    if error.status == 403:
        return f"{server} forbids it: {error.message}"
    if error.not_found and CRD_PATH.search(error.message):
        return f"{server} has no Fairlead CRDs: install the chart (helm install fairlead charts/fairlead)"
    if error.unreachable:
        return f"cannot reach the API server: {error.message}"
    return f"the API server at {server} failed: {error.message}"
