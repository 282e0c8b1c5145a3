"""From a checkpoint and a scene to georeferenced 1 m maps."""
