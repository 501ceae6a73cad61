"""The families of analytics behind :class:`analytics.Analytics`, one module each.

Nothing here does input or output, reads a clock or draws an unseeded random number.
"""
