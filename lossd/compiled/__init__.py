"""Functions of declarations that Numba compiles: loops, and what is more than arithmetic."""
