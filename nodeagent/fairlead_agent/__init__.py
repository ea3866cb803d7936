"""The node's side: makes the kernel, BIRD and the CNI socket agree with the node's desired state.

Only `ports` import foreign libraries; targets do not know each other; it writes only its own node's status.
"""

__version__ = "0.1.0"  # that of pyproject.toml; a test compares
