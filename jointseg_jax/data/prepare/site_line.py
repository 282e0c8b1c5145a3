"""The line that preparation prints per site: what tells whether the site is fit for use."""

import math
import re

from jointseg_jax.data.dataset import Registration, Site
from jointseg_jax.data.prepare import site_dates
from jointseg_jax.data.prepare.site.image_units import warned
from jointseg_jax.data.prepare.site_work import SitePlan


def in_words(site: Site, plan: SitePlan, *, fresh: bool) -> str:
    """For example "1.00 km2, prepared, train; s2 +2 days, 12 % not clear; image 3.1 -> 0.2 m off; 310 features".

    Args:
        site: prepared.
        plan: what it was prepared from.
        fresh: it was made now, and not found.
    """
    splits = "+".join(split for split, pixels in site.pixels.items() if pixels)
    parts = [
        ", ".join(filter(None, (f"{plan.km2:.2f} km2", "prepared" if fresh else "already there", splits))),
        _input(site),
        _shifts(site),
        f"explained variance {min(site.fit.explained):.2f}" if site.fit is not None else "",
        _features(site, plan),
        _missing(plan),
        f"WARNING: {', '.join(warnings)}" if (warnings := warned(site.fit) if site.fit is not None else []) else "",
    ]
    return "; ".join(filter(None, parts))


def _input(site: Site) -> str:
    """Days from the image to the nearest date of the first modality, and how much of each date is not clear."""
    first = next(iter(site.layers))
    day = site_dates.nearest(site.days.get(first, ()))
    shares = [f"{share:.0%}"[:-1] for share in (site.cloudy or {}).get(first, ()) if share is not None]
    said = [f"{day:+d} days"] if day else []
    said += [f"{'/'.join(shares)} % not clear"] if shares else []
    return f"{first} {', '.join(said)}" if said else ""


def _shifts(site: Site) -> str:
    """How far image, label and the worst of the other inputs lie off, before and after they were moved."""
    fine = [name for name in (site_dates.IMAGE, site_dates.LABEL) if name in site.registration]
    others = [name for name in site.registration if name not in fine]
    worst = sorted(others, key=lambda name: -site.registration[name].residual)[:1]
    said = ", ".join(f"{name} {_shift(site.registration[name])}" for name in (*fine, *worst))
    return f"{said} m off" if said else ""


def _shift(lies: Registration) -> str:
    before = f"{math.hypot(lies.down, lies.right):.1f} -> " if any(lies.moved) else ""
    return f"{before}{lies.residual:.1f}"


def _features(site: Site, plan: SitePlan) -> str:
    """What the vectors hold, and where some are missing; empty without vectors."""
    if not plan.source.vectors:
        return ""
    sparse = site.label_counts.get("cells without vectors", 0)
    of = f", {sparse} of {site.label_counts.get('cells built up', 0)} cells lack vectors" if sparse else ""
    return f"{site.label_counts.get('features', 0)} features{of}"


def _missing(plan: SitePlan) -> str:
    """What the site does not have, the beginning of each note on it: "s1: absent, no label"."""
    return ", ".join(re.split(r" \(|, ", note)[0] for note in plan.source.notes)
