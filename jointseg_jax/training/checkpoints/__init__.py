"""Checkpoints: the only room that knows Orbax.

    WORKDIR/checkpoints/STEP/state          the training state
                             meta           config, contract and calibration
                             digests.json   size and SHA-256 of every file in state and meta

A checkpoint is written in the background and committed by a rename. Older ones are removed only after that. It restores
onto any number of devices, because it is read onto an abstract tree of shapes, dtypes and shardings. Its files are
compared with their digests before they are read.
"""
