"""One learned tool as one signed file: carried to another project, where it lands unapproved.

The file holds source, manifest and the digests of the runs it was made from, signed by the instance that wrote it. A
changed byte is refused. Whose instance that was proves nothing about the tool: a person approves it like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from druse.governance import SigningKey, instance_of, signed_by
from druse.model import Invalid, JsonObject, ToolVersion, canonical

FORMAT = "druse tool 1"


def exported(version: ToolVersion, key: SigningKey, runs: Mapping[str, str]) -> str:
    """The file of one version. `runs`: the digest of each run it was made from, by id."""
    body: JsonObject = {
        "format": FORMAT,
        "name": version.name,
        "version": version.version,
        "source": version.source,
        "manifest": version.manifest,
        "runs": dict(runs),
        "instance": key.instance,
        "public": key.public,
    }
    return json.dumps({**body, "signature": key.sign(canonical(body))}, indent=1, ensure_ascii=False) + "\n"


def imported(text: str, *, public: str = "") -> tuple[ToolVersion, JsonObject]:
    """The version in a file, and where it comes from. Raises Invalid for anything but the signed whole.

    `public`: the key (hexadecimal) that must have signed it; empty takes the one that the file names.
    """
    try:
        loaded = json.loads(text)
    except ValueError as error:
        raise _refused(f"it is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise _refused("it is no object")
    body = cast("JsonObject", loaded)
    signature = body.pop("signature", None)
    name, number, source, manifest = (body.get(key) for key in ("name", "version", "source", "manifest"))
    named, runs = body.get("public"), body.get("runs")
    if body.get("format") != FORMAT or not (
        isinstance(name, str)
        and isinstance(number, int)
        and isinstance(source, str)
        and isinstance(manifest, dict)
        and isinstance(named, str)
        and isinstance(signature, str)
        and isinstance(runs, dict)
    ):
        raise _refused("a part is missing")
    if public and named.lower() != public.lower():
        raise _refused(f"it is signed with {named}, not with {public}")
    if not signed_by(named, canonical(body), signature):
        raise _refused("its signature does not fit: it was changed, or cut")
    origin: JsonObject = {"instance": instance_of(named), "public": named, "version": number, "runs": runs}
    return ToolVersion(name, number, source, manifest), origin


def _refused(why: str) -> Invalid:
    return Invalid(f"Cannot import the tool: {why}. Export it anew with druse tools export.", where="file", problem=why)
