"""Fenced pieces of the world, each brought to what the accepted spec and the leases say.

A target has `realise(spec)`, which raises PortError for what could not be done. Targets do not know each
other. Inside its fence a target removes what nobody wants; outside it touches nothing.
"""
