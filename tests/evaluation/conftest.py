"""A small trained network, whose maps are judged."""

import pytest


@pytest.fixture(scope="session")
def judged(tmp_path_factory, toy_config, data):
    """A network of thirty steps, without records of its confidence and uncertainty; remove those that a test makes."""
    import harness
    import stored_halo

    from jointseg_jax.training.train import train
    from jointseg_jax.training.trained import load_trained

    workdir = tmp_path_factory.mktemp("run")
    config = toy_config.copy_and_resolve_references()
    config.unlock()
    harness.speck(config)
    config.steps = config.validate_every = config.checkpoint_every = 30
    train(config, workdir)
    trained = load_trained(workdir)
    stored_halo.store(trained, data.scene("d"))
    return trained
