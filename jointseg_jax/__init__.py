"""Joint progressive super-resolution and segmentation: 1 m impervious surface from 10 m Sentinel-2.

    import jointseg_jax as js

    net = js.load("runs/dubai")
    map_ = net.predict("scene.tif")     # xarray.Dataset: impervious, probability, image

The names in `__all__` are the interface. Everything else in the package is private: it may change in any version.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the names are imported at their first use, so `import jointseg_jax` is quick
    from jointseg_jax.api.datasets import Patch, SiteDataset, open_dataset
    from jointseg_jax.api.maps import read_map
    from jointseg_jax.api.network import Network, load
    from jointseg_jax.errors import InputError

__version__ = "0.1.0"
__all__ = ["InputError", "Network", "Patch", "SiteDataset", "load", "open_dataset", "read_map"]
_PLACES = {
    "InputError": "errors",
    "Network": "api.network",
    "Patch": "api.datasets",
    "SiteDataset": "api.datasets",
    "load": "api.network",
    "open_dataset": "api.datasets",
    "read_map": "api.maps",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use (PEP 562)."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {', '.join(__all__)}")
    found = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
