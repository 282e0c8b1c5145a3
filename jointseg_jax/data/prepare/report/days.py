"""The dates of a dataset: days between images, inputs and labels, over the sites."""

from typing import Any

import numpy as np

from jointseg_jax.data.dataset import Dataset, Site
from jointseg_jax.data.prepare import site_dates

FAR_DAYS = 90  # between image and the nearest date of an input: another season [ours]


def far_in_time(data: Dataset) -> list[str]:
    """Inputs and labels whose nearest date lies more than `FAR_DAYS` off the image, one sentence each."""
    return [
        f"{name} of {site.name} is {abs(day)} days {'before' if day < 0 else 'after'} the image, more than {FAR_DAYS}"
        for site in data.sites.values()
        for name in _dated(data)
        if (day := site_dates.nearest(site.days.get(name, ()))) is not None and abs(day) > FAR_DAYS
    ]


def days(data: Dataset) -> dict[str, dict[str, Any]]:
    """By modality, and of the label: days between the image and the nearest date, without sign, over the sites."""
    found = {}
    for name in _dated(data):
        sites = [site for site in data.sites.values() if name in site.days]
        nearest = [day for site in sites if (day := site_dates.nearest(site.days[name])) is not None]
        spans = [span for site in sites if (span := site_dates.span(site.dates[name])) is not None]
        low, middle, high = np.percentile(np.abs(nearest), (0, 50, 100)).tolist() if nearest else (None,) * 3
        about = {"sites": len(nearest), "unknown": len(sites) - len(nearest), "least": low, "median": middle}
        found[name] = {**about, "most": high, "most_between_dates": max(spans, default=None)}
    return found


def sensed(data: Dataset, site: Site) -> list[str | None]:
    """The dates of a site's optical inputs; of the site in older datasets, and where they are unknown."""
    optical = [m.name for m in data.contract.modalities if m.units == "reflectance"]
    found = [date for name in optical for date in site.dates.get(name, ())]
    return found if any(found) else [site.date]


def _dated(data: Dataset) -> list[str]:
    """What has dates beside the image: the modalities, then the label."""
    return [*(m.name for m in data.contract.modalities), site_dates.LABEL]
