"""Asks STAC servers: reads documents by http, and searches APIs. Only this file uses pystac-client.

The specification: https://github.com/radiantearth/stac-api-spec (core and item-search).
"""

import contextlib
import dataclasses
import functools
import json
import logging
import pathlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from jointseg_jax.errors import InputError
from jointseg_jax.rasters import remote
from jointseg_jax.sources.wanted import Wanted

_TRIES, _FIRST_PAUSE, _TIMEOUT = 6, 0.5, 60.0  # pauses double; seconds
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_SEARCH = re.compile(r"/item-search$")
_PAGE = 200  # items per answer


def read_document(path: pathlib.Path, advice: str) -> Any:
    """Reads the JSON document of an address.

    Args:
        path: see `remote.path_of`.
        advice: the end of the message if it is no JSON.

    Raises:
        InputError: it cannot be read; pystac-client is missing.
    """
    url = remote.address(path)
    remote.check_allowed(path)
    if not url.startswith(("http:", "https:")):
        raise InputError(
            f"{url} is in an object store, but STAC documents are read by http alone: give its https address"
        )
    with _explained(url):
        text = _reader().read_text(url)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{url} cannot be read as JSON ({error}): {advice}") from error


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """Where an API is searched.

    Attributes:
        url: of its item search.
        method: POST or GET.
    """

    url: str
    method: str


def endpoint(document: Mapping[str, Any], path: pathlib.Path) -> Endpoint | None:
    """The item search that the root document of an API names; None for other documents.

    Args:
        document: JSON values.
        path: its address.
    """
    classes = document.get("conformsTo")
    if not isinstance(classes, list) or not any(isinstance(c, str) and _SEARCH.search(c) for c in classes):
        return None
    links = [
        k for k in document.get("links") or () if isinstance(k, dict) and k.get("rel") == "search" and k.get("href")
    ]
    links.sort(key=lambda link: link.get("method") != "POST")
    if not links:
        return None
    url = urllib.parse.urljoin(remote.address(path), str(links[0]["href"]))
    return Endpoint(url, "POST" if links[0].get("method") == "POST" else "GET")


def search(where: Endpoint, collection: str, wanted: Wanted) -> list[dict[str, Any]]:
    """The items of a collection on the wanted ground and in the wanted period, as JSON values, over all pages.

    Raises:
        InputError: the server refuses or cannot be reached.
    """
    reader = _reader()
    import pystac_client

    with _explained(where.url):
        found = pystac_client.ItemSearch(
            where.url,
            method=where.method,
            stac_io=reader,
            collections=[collection],
            bbox=wanted.bbox,
            datetime=wanted.datetime or None,
            limit=_PAGE,
        )
        return list(found.items_as_dicts())


def collections(root: str) -> list[str]:
    """The ids of an API's collections, for messages."""
    try:
        document = read_document(remote.path_of(f"{root.rstrip('/')}/collections"), "")
        return sorted(str(c["id"]) for c in document["collections"])
    except (InputError, KeyError, TypeError):
        return []


@functools.cache
def _reader() -> Any:
    try:
        from pystac_client.stac_api_io import StacApiIO
        from urllib3 import Retry
    except ImportError as error:
        raise InputError(
            "STAC catalogues and APIs on other machines need pystac-client: pip install 'jointseg-jax[stac]'"
        ) from error
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would print addresses with their query
    retry = Retry(_TRIES, backoff_factor=_FIRST_PAUSE, status_forcelist=_PASSING, allowed_methods=None)
    return StacApiIO(max_retries=retry, timeout=_TIMEOUT)


@contextlib.contextmanager
def _explained(url: str) -> Iterator[None]:
    """Converts errors of the client into one sentence with the address."""
    _reader()
    from pystac_client.exceptions import APIError, ParametersError

    try:
        yield
    except APIError as error:
        code = getattr(error, "status_code", None)
        if code in (401, 403):
            raise InputError(
                f"{url} may not be read (HTTP {code}): give a public address, or a signed one that has not expired"
            ) from error
        if code == 404:
            raise InputError(f"{url} does not exist (HTTP 404): correct the address") from error
        cause = re.search(r"Caused by (\w+)", str(error))  # the rest repeats the address with its query
        why = f"HTTP {code}" if code else cause[1] if cause else "no answer"
        raise InputError(
            f"{url} could not be read over the network ({why}): check the address, and run the command again when the "
            "server answers"
        ) from error
    except (ParametersError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{url} does not answer as a STAC API ({error}): correct the address") from error
