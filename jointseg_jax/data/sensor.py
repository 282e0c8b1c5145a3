"""Simulates a Sentinel-2 observation of a 1 m image: blur, sampling, noise.

The published modulation transfer function (MTF) at the Nyquist frequency is that of the whole system, including the
detector. So the simulated point spread is Gaussian x pixel box, and the Gaussian is chosen such that the *product* of
both transfer functions has the published value. At 0.25 and 10 m its sigma is 4.35 m; blurring with 5.30 m and then
averaging would blur twice.
"""

import dataclasses
import math

import numpy as np

# System MTF at Nyquist of the MSI bands, as used in the Sentinel-2 sharpening literature (Ulfarsson et al., "Sentinel-2
# Sharpening Using a Reduced-Rank Method", IEEE TGRS 57(9), 2019).
MTF_AT_NYQUIST = {
    "B01": 0.32, "B02": 0.26, "B03": 0.28, "B04": 0.24, "B05": 0.38, "B06": 0.34, "B07": 0.34, "B08": 0.26, "B8A": 0.33,
    "B09": 0.26, "B11": 0.22, "B12": 0.23,
}  # fmt: skip
# Signal-to-noise ratio at the reference radiance [W m-2 sr-1 um-1]: ESA, Sentinel-2 User Handbook, issue 1 rev 2, 2015.
SNR_AT_REFERENCE = {
    "B02": (154, 128.0),
    "B03": (168, 128.0),
    "B04": (142, 108.0),
    "B08": (174, 103.0),
    "B11": (100, 4.0),
    "B12": (100, 1.5),
}
# Solar irradiance [W m-2 um-1] of the bands of Sentinel-2A, as in its product metadata.
SOLAR_IRRADIANCE = {"B02": 1959.72, "B03": 1823.24, "B04": 1512.06, "B08": 1041.63, "B11": 245.59, "B12": 85.25}
_COS_SUN_ZENITH = math.cos(math.radians(45.0))  # converts reference radiance to reference reflectance [ours]
_DISPLAY_REFERENCE = 0.3  # linear light at which the published SNR applies to a display stretch [ours]
HIGHEST_MTF = 2 / math.pi  # at Nyquist, of a bare pixel box: sinc(1/2)
KERNELS = ("gaussian", "box")


def gaussian_sigma(mtf: float, spacing: float) -> float:
    """Sigma [metres] of the Gaussian whose product with the box of a `spacing` metre pixel has `mtf` at Nyquist."""
    nyquist = 1 / (2 * spacing)
    return math.sqrt(-math.log(_beside_the_pixel(mtf)) / (2 * math.pi**2 * nyquist**2))


def box_width(mtf: float, spacing: float) -> float:
    """Width [metres] of the box whose product with the box of a `spacing` metre pixel has `mtf` at Nyquist."""
    from scipy.optimize import brentq  # takes most of a second, and a map simulates no sensor

    wanted = _beside_the_pixel(mtf)
    return 2 * spacing * float(brentq(lambda x: np.sinc(x) - wanted, 0, 1))


def _beside_the_pixel(mtf: float) -> float:
    """The MTF at Nyquist of all but the pixel box, for a system that has `mtf`."""
    if not 0 < mtf < HIGHEST_MTF:
        raise ValueError(
            f"the MTF at Nyquist must be between 0 and {HIGHEST_MTF:.3f}, that of a bare pixel box, not {mtf}"
        )
    return mtf / HIGHEST_MTF


def published_mtf(bands: tuple[str, ...], units: str) -> tuple[float, ...]:
    """Published MTF at Nyquist of bands by their Sentinel-2 names; empty if one is unknown.

    Bands of a `display` stretch are red, green and blue, or get the median of the visible bands.
    """
    if units == "display":
        return Sensor.display(bands).mtf
    return tuple(MTF_AT_NYQUIST[b] for b in bands) if all(b in MTF_AT_NYQUIST for b in bands) else ()


def published_sensor(bands: tuple[str, ...], units: str) -> "Sensor | None":
    """The published sensor of bands by their Sentinel-2 names, with its noise; None if that of one is not published.

    A `display` stretch has the noise that `Sensor.display` assumes.
    """
    if units == "display":
        return Sensor.display(bands)
    return Sensor.sentinel2(bands) if units == "reflectance" and SNR_AT_REFERENCE.keys() >= set(bands) else None


def to_linear(display: np.ndarray) -> np.ndarray:
    """The sRGB decoding (IEC 61966-2-1): display values 0..1 to linear light."""
    return np.where(display <= 0.04045, display / 12.92, ((np.maximum(display, 0) + 0.055) / 1.055) ** 2.4)


def to_display(linear: np.ndarray) -> np.ndarray:
    """The sRGB encoding: linear light to display values 0..1."""
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


@dataclasses.dataclass(frozen=True)
class Sensor:
    """One state of the sensor, per band.

    Attributes:
        mtf: system MTF at Nyquist.
        snr: signal-to-noise ratio at `reference`; infinite for no noise.
        reference: signal at which `snr` holds, in the image's units (linear light where `linear_light`).
        spacing: pixel size, metres.
        shift: misregistration (down, right) of the observation, metres.
        gain: factor on the signal.
        linear_light: the image is a display stretch; blur and noise act on its linear light.
        kernel: shape of the blur before the pixel box, "gaussian" or "box", with the same MTF at Nyquist. The box cuts
            off: no optics have it, so it tests what a network makes of another sensor.
    """

    mtf: tuple[float, ...]
    snr: tuple[float, ...]
    reference: tuple[float, ...]
    spacing: float = 10.0
    shift: tuple[float, float] = (0.0, 0.0)
    gain: tuple[float, ...] | None = None
    linear_light: bool = False
    kernel: str = dataclasses.field(default="gaussian", repr=False)  # see `prepare.site_work`, which has the repr

    @classmethod
    def sentinel2(cls, bands: tuple[str, ...], spacing: float = 10.0) -> "Sensor":
        """The published sensor for reflectance in bands named B02, B03, ..."""
        snr, reference = [], []
        for band in bands:
            ratio, radiance = SNR_AT_REFERENCE[band]
            snr.append(float(ratio))
            reference.append(math.pi * radiance / (SOLAR_IRRADIANCE[band] * _COS_SUN_ZENITH))
        return cls(tuple(MTF_AT_NYQUIST[b] for b in bands), tuple(snr), tuple(reference), spacing)

    @classmethod
    def display(cls, bands: tuple[str, ...], spacing: float = 10.0) -> "Sensor":
        """The sensor for an 8-bit display stretch; unknown bands get the median figures of the visible bands."""
        known = {"R": "B04", "G": "B03", "B": "B02"}
        names = [known.get(b, b) for b in bands]
        mtf = tuple(MTF_AT_NYQUIST.get(n, 0.26) for n in names)
        snr = tuple(float(SNR_AT_REFERENCE.get(n, (154, 0.0))[0]) for n in names)
        return cls(mtf, snr, (_DISPLAY_REFERENCE,) * len(bands), spacing, linear_light=True)

    @property
    def margin(self) -> int:
        """Metres of image beyond a coarse pixel's edge that contribute to it: four sigmas or half the box, shift."""
        if self.kernel == "box":
            widest = max(box_width(m, self.spacing) for m in self.mtf) / 2
        else:
            widest = 4 * max(gaussian_sigma(m, self.spacing) for m in self.mtf)
        return math.ceil(widest + max(abs(s) for s in self.shift))

    def observe(
        self, image: np.ndarray, valid: np.ndarray, *, pixel: float = 1.0, rng: np.random.Generator | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Simulates the observation of an image.

        Args:
            image: `[height, width, bands]` at `pixel` metres; sides are multiples of `spacing / pixel`. The outer
                `margin` metres are slightly wrong for lack of neighbours: give a larger window and crop.
            valid: bool `[height, width]`; invalid pixels have no weight.
            pixel: spacing of the image, metres.
            rng: of the noise; None for no noise.

        Returns:
            Values `[height / n, width / n, bands]` float32 in the image's units, n = spacing / pixel, and valid: at
            least half of the point spread's weight fell on valid pixels.
        """
        factor = round(self.spacing / pixel)
        signal = (to_linear(image) if self.linear_light else image).astype(np.float32)
        weight = np.broadcast_to(valid[..., None], signal.shape).astype(np.float32)
        rows, cols = (self._kernel(factor, pixel, s / pixel) for s in self.shift)
        total = _decimate(_decimate(signal * weight, rows, factor, 0), cols, factor, 1)
        mass = _decimate(_decimate(weight, rows, factor, 0), cols, factor, 1)
        seen = total / np.maximum(mass, 1e-6)
        if self.gain is not None:
            seen = seen * np.asarray(self.gain, np.float32)
        if rng is not None:
            seen = seen + self._noise(seen, rng)
        if self.linear_light:
            seen = to_display(np.maximum(seen, 0))
        return seen.astype(np.float32), mass.mean(-1) >= 0.5

    def _kernel(self, factor: int, pixel: float, shift: float) -> np.ndarray:
        """Weights `[taps, bands]` of image pixels around a coarse pixel: the blurred box, with a sum of one."""
        reach = math.ceil(self.margin / pixel)
        position = (np.arange(-reach, factor + reach) - (factor - 1) / 2 - shift)[:, None]

        from scipy.special import ndtr

        def below(x: np.ndarray) -> np.ndarray:  # the share of the blur up to x
            if self.kernel == "box":
                return np.clip(x / np.array([box_width(m, self.spacing) / pixel for m in self.mtf]) + 0.5, 0, 1)
            return np.asarray(ndtr(x / np.array([gaussian_sigma(m, self.spacing) / pixel for m in self.mtf])))

        weights = below(position + factor / 2) - below(position - factor / 2)
        return (weights / weights.sum(0)).astype(np.float32)

    def noise(self, seen: np.ndarray) -> np.ndarray:
        """Standard deviation of the noise of one observation, in the image's units; shape of `seen`, `[..., bands]`."""
        if not self.linear_light:
            return self._sigma(seen)
        light = to_linear(seen)
        bright = 1.055 / 2.4 * np.maximum(light, 0.0031308) ** (1 / 2.4 - 1)  # slope of `to_display`
        return self._sigma(light) * np.where(light <= 0.0031308, 12.92, bright)

    def _noise(self, signal: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self._sigma(signal) * rng.standard_normal(signal.shape, np.float32)

    def _sigma(self, signal: np.ndarray) -> np.ndarray:
        """Of Gaussian noise; at the reference signal its variance is half read noise, half photon noise [ours]."""
        reference, snr = np.asarray(self.reference, np.float32), np.asarray(self.snr, np.float32)
        return np.asarray(reference / snr * np.sqrt(0.5 + 0.5 * np.maximum(signal, 0) / reference))


def _decimate(x: np.ndarray, kernel: np.ndarray, factor: int, axis: int) -> np.ndarray:
    """Weighted sums around every `factor`-th pixel along one axis; zeros beyond the edges."""
    reach = (len(kernel) - factor) // 2
    count = x.shape[axis] // factor
    pad = [(0, 0)] * x.ndim
    pad[axis] = (reach, reach)
    padded = np.pad(x, pad)
    total: np.ndarray | None = None
    for tap, weight in enumerate(kernel):
        at = [slice(None)] * x.ndim
        at[axis] = slice(tap, tap + (count - 1) * factor + 1, factor)
        part = weight * padded[tuple(at)]
        total = part if total is None else total + part
    assert total is not None
    return total


@dataclasses.dataclass(frozen=True)
class SensorSpread:
    """Random deviations of the sensor from its nominal state, drawn for each training patch.

    Attributes:
        mtf: half-width of a uniform change of the MTF at Nyquist.
        shift: standard deviation of the misregistration, in coarse pixels.
        gain: standard deviation of a gain common to all bands.
        snr: the SNR is divided by a uniform factor between 1 and this.
    """

    mtf: float = 0.06
    shift: float = 0.05
    gain: float = 0.03
    snr: float = 2.0

    def draw(self, nominal: Sensor, rng: np.random.Generator) -> Sensor:
        """Draws one state of the sensor."""
        change = rng.uniform(-self.mtf, self.mtf)
        down, right = rng.normal(0, self.shift, 2) * nominal.spacing
        gain = float(np.exp(rng.normal(0, self.gain)))
        noise = rng.uniform(1, self.snr)
        return dataclasses.replace(
            nominal,
            mtf=tuple(min(0.6, max(0.05, m + change)) for m in nominal.mtf),
            snr=tuple(s / noise for s in nominal.snr),
            shift=(nominal.shift[0] + down, nominal.shift[1] + right),
            gain=tuple(g * gain for g in nominal.gain or (1.0,) * len(nominal.mtf)),
        )
