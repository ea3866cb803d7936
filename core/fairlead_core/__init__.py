"""What Fairlead decides: addresses, blocks, plans, rendered configuration.

Takes values and returns values. It does no I/O, reads no clock, rolls no dice and logs nothing:
time and identifiers are arguments. `lint-imports` proves it.
"""
