"""From rasters to batches: preparation, dataset index, sensor model, synthetic landscape, Grain pipeline."""
