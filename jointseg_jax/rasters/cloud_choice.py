"""Which mask of cloud a scene is read with: its product's own classification, files of the user, or none."""

import dataclasses
import pathlib

from odc.geo.geobox import GeoBox
from rasterio.io import DatasetReader

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.rasters.clouds import ClearRule, CloudFile, CloudMask, open_mask, split_band
from jointseg_jax.rasters.radiometry.product_metadata import classification
from jointseg_jax.rasters.raster_files import name_of

AUTO, NONE = "auto", "none"


@dataclasses.dataclass(frozen=True)
class CloudChoice:
    """How cloud is found in the optical layers of a scene.

    Attributes:
        source: "auto": the scene classification of each raster's product, where there is one that fits; "none": cloud
            is ground, and only left out where a scene is judged; otherwise a mask file, or one per date separated by
            commas: absolute, relative to the working folder or to the folder of the layer, with its band behind a `#`.
            `#BAND` is a band of the layer's own file.
        rule: what is clear in the mask.
        date: of the layer, from 0.
    """

    source: str = AUTO
    rule: ClearRule = dataclasses.field(default_factory=ClearRule)
    date: int = 0

    @property
    def applied(self) -> bool:
        """Whether what is not clear counts as absent."""
        return self.source != NONE

    def asked(self) -> dict[str, str]:
        """The choice as text, for records; empty for the default."""
        if self == DEFAULT:
            return {}
        return {"clouds": f"{self.source}, clear {self.rule.codes}, buffer {self.rule.buffer:g} m"}

    def of_date(self, date: int) -> "CloudChoice":
        """The choice for the layers of one date, from 0."""
        return dataclasses.replace(self, date=date)

    def mask(self, raster: DatasetReader, lattice: GeoBox, step: int) -> tuple[CloudMask | None, str]:
        """The mask of a layer and a note on it.

        Args:
            raster: open raster of the layer.
            lattice: of the scene, 10 m.
            step: 10 m pixels on the side of a pixel of the layer.

        Raises:
            InputError: a mask that the user named is missing or does not fit.
        """
        path = pathlib.Path(raster.name)
        if self.source not in (AUTO, NONE):
            file = self._named(raster)
            return open_mask(file, lattice, step, self.rule), f"cloud by {file.path.name}{self._buffer}"
        found = classification(path, raster.tags())
        if found is None:
            return None, ""
        name = remote.bare(found).name
        try:
            mask = open_mask(CloudFile(found), lattice, step, self.rule)
        except InputError as error:
            return None, f"{name} not used ({error})"
        return mask, f"cloud by {name}{self._buffer}" if self.applied else f"cloud not masked ({name})"

    @property
    def _buffer(self) -> str:
        return f" and {self.rule.buffer:g} m around it" if self.rule.buffer else ""

    def _named(self, raster: DatasetReader) -> CloudFile:
        layer = pathlib.Path(name_of(raster))
        names = [name.strip() for name in self.source.split(",")]
        if self.date >= len(names):
            raise InputError(
                f"--cloud={self.source} names {len(names)} mask{'s' * (len(names) > 1)}, but {layer} is date "
                f"{self.date + 1}: name one mask per date, separated by commas"
            )
        file, band = split_band(names[self.date])
        if not file:
            return CloudFile(pathlib.Path(raster.name), band)
        places = [pathlib.Path(file), layer.parent / file]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise InputError(
                f"--cloud={self.source}: {file} is neither in the working folder nor beside {layer}: correct it, or "
                "use --cloud=auto or --cloud=none"
            )
        return CloudFile(found.absolute(), band)


DEFAULT = CloudChoice()
