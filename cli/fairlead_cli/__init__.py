"""What a person asks the cluster: status, ipam, bgp.

Reads objects and prints them; it changes nothing and decides nothing.
"""

__version__ = "0.1.0"  # that of pyproject.toml; a test compares
