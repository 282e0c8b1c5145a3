"""From a config to objects: the network, the objective, the adversarial loss, the optimisers.

May import: errors, rasters.contract, models, training.losses, training.method.
"""
