"""Files with areas of interest around toy scenes."""

import json

import shapely

from jointseg_jax.geo.utm_zones import Zone, to_degrees

ZONE = Zone(50, True)


def write_area(path, *shapes, zone=ZONE):
    """Geometries in metres of a zone as GeoJSON in degrees."""
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(to_degrees(s, zone))} for s in shapes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path
