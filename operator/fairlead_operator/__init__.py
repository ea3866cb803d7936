"""The cluster's side: gathers objects, asks the core for a plan, publishes it.

kopf lives only here. It decides nothing by itself and never talks to an agent but through the API server.
"""
