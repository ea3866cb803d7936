"""The one door to the Kubernetes API server: configuration, requests, reflectors.

Knows HTTP, paths and resource versions; knows nothing of Fairlead's kinds and decides nothing.
"""
