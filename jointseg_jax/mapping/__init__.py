"""Maps: one scene, or an area wall to wall. `scene_map` is the entrance for one scene, `area/map_area` for an area.

May import: bounds, errors, storage, geo, jobs, rasters, data, models, training.
"""
