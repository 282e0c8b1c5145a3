"""Meshes, shardings, processes, collectives: host arrays to global arrays and back.

May import: errors, models. Only this room imports `jax.sharding` and `multihost_utils`.
"""
