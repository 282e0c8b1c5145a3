"""A peer's process, driven over pipes: one JSON object per line each way (see torch_peer.py)."""

import contextlib
import dataclasses
import json
import os
import pathlib
import selectors
import subprocess
import time
from typing import Any

from benchmarks.timing import Failed, Turn

ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Peers:
    """Settings of the peer: its interpreter, variants, threads, and seconds in which a variant must be ready."""

    python: str
    variants: tuple[str, ...]
    threads: int
    limit: float = 300.0


class Peer:
    """A running peer.

    Args:
        python: an interpreter with the peer's library.
        log: receives the peer's output; PyTorch's compilation cache goes beside it.
        module: the module to run.
    """

    def __init__(self, python: str, log: pathlib.Path, module: str = "benchmarks.peers.torch_peer"):
        self._log = log
        self._buffer = b""
        # A cache of its own, so that the time until a compiled variant is ready is that of a first start.
        own = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(log.with_suffix(".cache"))}
        with log.open("wb") as errors:
            try:
                self._process = subprocess.Popen(
                    [python, "-m", module],
                    cwd=ROOT,
                    env=own,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                )
            except OSError as error:
                raise Failed(f"{python} cannot be started: {error.strerror}") from error

    def ask(self, do: str, *, limit: float, **request: Any) -> dict[str, Any]:
        """Sends a request and returns the answer.

        Raises:
            Failed: the peer reported an error, took more than `limit` seconds (and was ended), or is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Failed(self._gone()) from error
        answer: dict[str, Any] = json.loads(self._line(do, limit))
        if "error" in answer:
            raise Failed(answer["error"])
        return answer

    def _line(self, do: str, limit: float) -> bytes:
        assert self._process.stdout is not None
        deadline = time.monotonic() + limit
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    self._process.kill()
                    raise Failed(f"the peer did not answer {do!r} within {limit:.0f} s and was stopped")
                read = self._process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
                if not read:
                    raise Failed(self._gone())
                self._buffer += read
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _gone(self) -> str:
        status = self._process.wait(10)
        said = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return f"the peer exited with status {status}: {said[-1].strip()[:300] if said else 'no output'}"

    def close(self) -> None:
        """Ends the peer."""
        try:
            self._process.communicate(b'{"do": "stop"}\n', timeout=10)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self._process.kill()
            self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # unread data may break the pipe
                pipe.close()  # type: ignore[union-attr]


def begin(peers: Peers, log: pathlib.Path, platform: str) -> tuple[Peer, dict[str, Any]]:
    """Starts a peer and asks what it is.

    Args:
        peers: its settings.
        log: receives its output.
        platform: JAX's, "cpu" or "gpu".

    Raises:
        Failed: it cannot be started, or runs on another kind of device than JAX.
    """
    peer = Peer(peers.python, log)
    try:
        hello = peer.ask("hello", threads=peers.threads, limit=peers.limit)
        if (platform == "gpu") != (hello["device"] == "cuda"):
            raise Failed(
                f"the peer runs on {hello['device']}, but JAX on {platform}: run both on the same kind of device"
            )
    except Failed:
        peer.close()
        raise
    return peer, hello


class PeerSteps:
    """A contestant: steps of one variant that a peer has opened, see `torch_peer`."""

    def __init__(self, peer: Peer, variant: str, *, limit: float):
        self.name = f"torch {variant}"
        self.share = 1.0
        self.steps = 1  # opening ran one
        self.peak_bytes: int | None = None
        self._peer, self._variant, self._limit = peer, variant, limit

    def turn(self, steps: int) -> Turn:
        """Runs steps; the peer times them itself, so the pipe does not count."""
        answer = self._peer.ask("steps", variant=self._variant, count=steps, limit=self._limit)
        self.steps += steps
        if answer["steps"] != self.steps:
            raise Failed(f"the peer did {answer['steps']} steps instead of {self.steps}")
        if not abs(answer["value"]) < float("inf"):
            raise Failed(f"the peer's value is {answer['value']} after {self.steps} steps")
        self.peak_bytes = answer["peak_bytes"]
        return Turn(steps, answer["wall"], answer["cpu"])
