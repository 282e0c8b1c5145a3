"""What a run says can be read back, whatever it says it to."""

import errno
import io
import json
import struct
import sys
import types

import harness
import numpy as np
import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from jointseg_jax.errors import InputError
from jointseg_jax.training.run.logs import RunLog

pytestmark = pytest.mark.quick


def events(workdir):
    """The events of the newest file, every checksum checked."""
    data, found = max((workdir / "tensorboard").iterdir()).read_bytes(), []

    def masked(part):
        crc = crc32c(part)
        return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32

    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12]) == (masked(data[:8]),)
        body = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length]) == (masked(body),)
        found.append(Event.FromString(body))
        data = data[16 + length :]
    return found


def test_tensorboard_gets_scalars_pictures_and_histograms(tmp_path):
    log = RunLog(tmp_path)
    log.record("train", 3, {"loss": 0.25, "gradient_norm": 1.5, "learning_rate": 1e-3, "note": "text"})
    log.picture("validation", 3, np.full((4, 6, 3), 200, np.uint8))
    counts = np.array([0, 0, 2, 5, 1, 0.0])
    log.histogram("logits/impervious", 3, counts, np.linspace(-3, 3, 7))
    log.close()
    header, *rest = events(tmp_path)
    assert header.file_version == "brain.Event:2"
    assert all(e.step == 3 for e in rest)
    values = {v.tag: v for e in rest for v in e.summary.value}
    assert set(values) == {
        "train/loss", "train/gradient_norm", "train/learning_rate", "validation", "logits/impervious"
    }  # fmt: skip
    assert values["train/loss"].simple_value == 0.25
    assert (values["validation"].image.height, values["validation"].image.width) == (4, 6)
    histogram = values["logits/impervious"].histo
    assert list(histogram.bucket) == [2, 5, 1]
    np.testing.assert_allclose(histogram.bucket_limit, [0, 1, 2])
    assert (histogram.min, histogram.max, histogram.num) == (-1, 2, 8)
    assert histogram.sum == 2 * -0.5 + 5 * 0.5 + 1.5


def test_a_continued_run_hides_what_a_killed_one_said_after_its_checkpoint(tmp_path):
    RunLog(tmp_path, 7).close()
    assert [e.step for e in events(tmp_path) if e.HasField("session_log")] == [8]


def test_numbers_that_are_not_finite_are_valid_json(tmp_path):
    log = RunLog(tmp_path)
    log.record("train", 1, {"loss": float("nan"), "gradient_norm": float("inf"), "skipped": 1.0})
    log.close()
    line = (tmp_path / "log.jsonl").read_text()
    row = json.loads(line, parse_constant=lambda name: pytest.fail(name))
    assert (row["loss"], row["gradient_norm"], row["skipped"]) == ("nan", "inf", 1.0)


def test_a_full_disk_does_not_end_a_run(tmp_path, capsys):
    with harness.small_disk(tmp_path / "disk", 1) as disk:
        log = RunLog(disk)
        filler = harness.fill(disk)
        for step in range(400):
            log.record("train", step, {"loss": 0.5})
        log.picture("validation", 400, np.zeros((8, 8, 3), np.uint8))
        assert capsys.readouterr().out.count("cannot be written (No space left on device)") == 2
        filler.unlink()
        log.record("train", 400, {"loss": 0.5})
        log.close()
        assert [line["step"] for line in harness.lines(disk)] == list(range(401))
        assert len(events(disk)) == 403


def test_a_terminal_that_went_away_does_not_end_a_run(tmp_path, monkeypatch):
    class Gone(io.StringIO):
        tried = 0

        def flush(self):
            self.tried += 1
            raise OSError(errno.EIO, "the terminal is gone")

    gone = Gone()
    monkeypatch.setattr(sys, "stdout", gone)
    monkeypatch.setattr(sys, "stderr", gone)
    log = RunLog(tmp_path)
    log.say("hello")
    with log.progress(0, 2) as bar:
        bar.update()
    log.close()
    assert gone.tried > 2


class FakeWandb(types.ModuleType):
    """Takes what W&B would take."""

    def __init__(self):
        super().__init__("wandb")
        self.settings, self.rows, self.finished, self.fails = {}, [], False, False
        self.Image = lambda rgb: ("image", rgb.shape)

    def init(self, **settings):
        self.settings = settings
        return self

    def log(self, values, step):
        if self.fails:
            raise ConnectionError("no route")
        self.rows.append((step, values))

    def finish(self):
        self.finished = True


def test_wandb_gets_the_same_where_it_is_asked_for(tmp_path, monkeypatch, capsys):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    log = RunLog(tmp_path / "toy", 0, "cities", {"seed": 3})
    log.record("train", 1, {"loss": 0.5, "note": "text"})
    log.picture("validation", 1, np.zeros((2, 3, 3), np.uint8))
    log.close()
    assert wandb.rows == [(1, {"train/loss": 0.5}), (1, {"validation": ("image", (2, 3, 3))})]
    assert wandb.settings["project"] == "cities"
    assert wandb.settings["config"] == {"seed": 3}
    assert wandb.finished
    first = wandb.settings["id"]
    again = RunLog(tmp_path / "toy", 1, "cities")
    assert wandb.settings["id"] == first  # the same folder is the same run
    assert wandb.settings["resume"] == "allow"
    wandb.fails = True
    again.record("train", 2, {"loss": 0.5})
    again.record("train", 3, {"loss": 0.5})
    again.close()
    assert capsys.readouterr().out.count("continues without it") == 1
    assert len(harness.lines(tmp_path / "toy")) == 3


def test_wandb_that_is_not_installed_is_one_clear_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"config\.wandb is 'cities', but wandb is not installed: `pip install wandb`"):
        RunLog(tmp_path, 0, "cities")
