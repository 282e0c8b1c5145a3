"""The mapped label, as named in records, pages and tables."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from jointseg_jax.rasters.contract import Contract
from jointseg_jax.storage.files import file_name


@dataclasses.dataclass(frozen=True)
class Label:
    """The label of the training data.

    File names (`impervious.tif`) and record keys (`impervious_m2`) are part of the format: they are the same for every
    label.

    Attributes:
        name: from the dataset's config.
        classes: names of its values 0 and 1.
    """

    name: str
    classes: tuple[str, ...]

    @classmethod
    def of(cls, contract: Contract) -> "Label":
        """The label of a network."""
        return cls(contract.label, contract.class_names)

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Label":
        """The label in a model card's properties or in a collection; the default label if they do not name one."""
        name = str(record.get("jointseg:label", Contract.label))
        classes = record.get("jointseg:classes")
        if isinstance(classes, list) and len(classes) == 2:
            return cls(name, (str(classes[0]), str(classes[1])))
        return cls(name, ("other", name) if name != Contract.label else Contract.classes)

    @property
    def words(self) -> str:
        """The name for use in a sentence."""
        return "impervious surface" if self.name == Contract.label else self.name

    @property
    def title(self) -> str:
        """The title of a map."""
        return (
            f"{self.words[0].upper()}{self.words[1:]} at 1 m" if self.name == Contract.label else f"{self.name} at 1 m"
        )

    def of_layer(self, layer: str) -> str:
        """The title of one layer of a product."""
        titles = {
            "impervious": f"{self.words}, 1 m",
            "probability": f"probability of {self.words}, 1 m",
            "image": "super-resolved image, 1 m",
            "confidence": "confidence of the class, 1 m",
            "support": "measured share of the image's detail, 1 m",
            "set": "set of classes that may be true, 1 m",
            "fraction": f"fraction of {self.words} and its interval, 10 m",
            "dissimilarity": "dissimilarity from the training ground, 10 m",
            "scene": "scene that each 10 m pixel was mapped from",
        }
        return titles.get(layer, layer)

    @property
    def collection_id(self) -> str:
        """The identifier of a product's collection."""
        return f"{file_name(self.name)}-1m"

    @property
    def column(self) -> str:
        """The column of a table, in square kilometres."""
        return f"{self.name}_km2"
