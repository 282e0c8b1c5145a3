"""Checks documents against the schemas of STAC."""

import pystac
from pystac.validation.stac_validator import JsonSchemaSTACValidator


def check_stac(document):
    """Raises unless an item or a collection is valid by STAC's own schemas, shipped with pystac."""
    kind = {"Feature": pystac.STACObjectType.ITEM, "Collection": pystac.STACObjectType.COLLECTION}[document["type"]]
    JsonSchemaSTACValidator().validate_core(document, kind, "1.1.0")
