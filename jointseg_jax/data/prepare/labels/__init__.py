"""Labels of a site: codes of a raster, or vectors burnt by rules.

`codes` maps land-cover codes. `rules` reads the rules from YAML (`osm.yaml` is the shipped default). `tags` and
`widths` read what a feature says, `features` turns vector files into shapes, `site_label` burns them, `completeness`
finds the ground where they are missing. Imports what `data.prepare` may import; alone knows PyYAML.
"""
