"""Compiled loops over arrays, one module a family.

Every function is pure, releases the GIL and is cached on disk. The modules are imported where
they are used: importing this package costs nothing, importing one of its modules loads numba.
"""
