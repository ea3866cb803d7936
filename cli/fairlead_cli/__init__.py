"""What a person asks the cluster: status, ipam, bgp.

Reads objects and prints them; it changes nothing and decides nothing.
"""
