"""Maps one scene, or an area wall to wall. The entry points: `scene_map`, `area/plan_area` and `area/map_area`.

May import: bounds, errors, storage, geo, jobs, rasters, sources, data, models, training.
"""
