"""A real Kubernetes of several nodes on one machine, every packet inside namespaces made here.

May import only the standard library: it runs before any virtual environment exists.
Knows nothing of Fairlead's Python packages; it installs them as an image and a chart, like any other cluster.
"""
