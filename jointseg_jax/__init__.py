"""Joint progressive super-resolution and segmentation: 1 m impervious surface from 10 m Sentinel-2."""

__version__ = "0.1.0"
