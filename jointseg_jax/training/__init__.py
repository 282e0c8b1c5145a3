"""From batches to a checkpoint: losses, state, step, devices, checkpoints, the loop."""
