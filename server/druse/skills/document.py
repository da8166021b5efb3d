"""A SKILL.md as data: read strictly, written strictly.

The form is Agent Skills: front matter with `name`, `description`, `license`, `compatibility`, `metadata` and
`allowed-tools` only, then Markdown. What is ours stands under `metadata` as strings whose keys begin with `druse.`.
The seed's front matter (`category` and `keywords` at the top, names with blanks) is accepted on reading and turned
into the strict form. Everything else is refused with line and reason. Reading is safe on hostile text: no aliases, no
tags, bounded size and depth, and no invisible characters that would hide instructions from a reader.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from druse.model import Invalid
from druse.skills.lookalikes import mixed

MAX_TEXT = 256 * 1024  # bytes of a whole SKILL.md
MAX_HEAD = 16 * 1024  # bytes of its front matter
MAX_NAME, MAX_DESCRIPTION, MAX_COMPATIBILITY = 64, 1024, 500
FIELDS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
SEED_FIELDS = frozenset({"category", "keywords"})
CATEGORIES = ("coding", "analysis", "writing", "data")

_HEAD = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_MARKUP = re.compile(r"</?[A-Za-z!]")
_MAX_EVENTS, _MAX_DEPTH = 600, 4
# What shows nothing and can carry instructions: zero-width, direction, tag, filler and control characters, variation
# selectors but for the two of emoji, and runs of those that are harmless alone.
_HIDDEN_ALWAYS = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200c\u200e\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_HIDDEN = re.compile(f"[{_HIDDEN_ALWAYS}]|[\ufe0e\ufe0f\u200d]{{2}}")
VISIBLE = f"^\ufeff?[^{_HIDDEN_ALWAYS}]*$"  # what every text of a skill matches; the mark of a file may lead
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9 _./()+,;=*$%-]*")
_YAML_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


@dataclass(frozen=True, slots=True)
class SkillDocument:
    """One skill's text, understood. `body` is everything after the front matter, byte for byte."""

    name: str
    description: str
    body: str = ""
    license: str = ""
    compatibility: str = ""
    allowed_tools: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    strict: bool = True  # False: it was read from the seed's form
    flags: tuple[str, ...] = ()  # what is unusual but usable, such as a foreign category

    def own(self, key: str) -> str:
        """One of our own entries under `metadata`, empty where it is missing."""
        return self.metadata.get(f"druse.{key}", "")

    def with_own(self, **values: str) -> SkillDocument:
        """The document with entries of ours set; an empty value takes the entry out."""
        kept = {k: v for k, v in self.metadata.items() if k.removeprefix("druse.") not in values or "." not in k}
        kept.update({f"druse.{key}": value for key, value in values.items() if value})
        return replace(self, metadata=kept)

    @property
    def category(self) -> str:
        """coding, analysis, writing or data; anything else is a foreign value, kept and flagged."""
        return self.own("category")

    @property
    def keywords(self) -> tuple[str, ...]:
        """Words to find it by."""
        return tuple(word for word in re.split(r"[,\s]+", self.own("keywords")) if word)

    @property
    def title(self) -> str:
        """The name as people read it: the first heading of the body, else the name with blanks."""
        heading = re.search(r"^#\s+(?:Skill:\s*)?(.+?)\s*$", self.body, re.MULTILINE)
        return heading[1][:120] if heading else self.name.replace("-", " ").title()


def slug_of(text: str) -> str:
    """A skill name made of any text: lower case letters, digits and single hyphens, at most 64 characters."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:MAX_NAME].strip("-") or "skill"


def parse(text: str, *, where: str = "SKILL.md", folder: str = "") -> SkillDocument:
    """Read a skill. `folder` is the name its folder has, which must be its own. Raises Invalid with `where:line`."""
    _check_size(text, where)
    _check_visible(text, where)
    found = _HEAD.match(text)
    if found is None:
        raise _wrong(where, 1, "there is no front matter between two lines of ---")
    fields, lines = _front_matter(found[1], where)
    document = _document(fields, lines, text[found.end() :], where)
    if folder and document.strict and document.name != unicodedata.normalize("NFKC", folder):
        raise _wrong(where, lines["name"], f"the name is {document.name!r}, but its folder is called {folder!r}")
    return document


def fields_of(text: str, where: str) -> tuple[dict[str, Any], str]:
    """Front matter of any Markdown, whatever its keys, and the body. Raises Invalid for what is unsafe to read."""
    _check_size(text, where)
    text = text.removeprefix("\ufeff")
    _check_visible(text, where)
    found = _HEAD.match(text)
    if found is None:
        return {}, text
    return _front_matter(found[1], where)[0], text[found.end() :]


def _check_size(text: str, where: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_TEXT:
        raise _wrong(where, 1, f"it is larger than {MAX_TEXT} bytes")


def without_hidden(text: str) -> str:
    """The text without the invisible characters that no skill may hold."""
    return _HIDDEN.sub("", text)


def _check_visible(text: str, where: str) -> None:
    hidden = _HIDDEN.search(text)
    if hidden:
        line = text.count("\n", 0, hidden.start()) + 1
        raise _wrong(where, line, f"it holds the invisible character U+{ord(hidden[0][0]):04X}")


def render(document: SkillDocument) -> str:
    """The strict text of a skill, which `parse` reads back. Raises Invalid where a field or the text does not fit."""
    fields: dict[str, Any] = {
        "name": document.name,
        "description": document.description,
        "license": document.license,
        "compatibility": document.compatibility,
        "allowed-tools": document.allowed_tools,
        "metadata": dict(document.metadata),
    }
    _check(fields, dict.fromkeys(fields, 1), document.name)
    head = [f"{key}: {_scalar(value)}" for key, value in fields.items() if key != "metadata" and value]
    if document.metadata:
        head.append("metadata:")
        head += [f"  {key}: {_scalar(value)}" for key, value in sorted(document.metadata.items())]
    text = "---\n" + "\n".join(head) + "\n---\n" + document.body
    _check_size(text, document.name)
    _check_visible(text, document.name)
    return text


def _document(fields: dict[str, Any], lines: dict[str, int], body: str, where: str) -> SkillDocument:
    strict = not SEED_FIELDS & fields.keys()
    if not strict or (fields.keys() <= {"name", "description"} and _seed_name(fields.get("name"))):
        strict, fields = False, _from_seed(fields, lines, where)
    unknown = [key for key in fields if key not in FIELDS]
    if unknown:
        reason = f"`{unknown[0]}` is no field of Agent Skills (known: {', '.join(FIELDS)})"
        raise _wrong(where, lines[unknown[0]], reason + '; "druse skills convert" moves it under metadata')
    _check(fields, lines, where)
    metadata: dict[str, str] = fields.get("metadata") or {}
    category = metadata.get("druse.category", "")
    flags = (f"foreign category {category!r}",) if category and category not in CATEGORIES else ()
    return SkillDocument(
        name=fields["name"],
        description=fields["description"].strip(),
        body=body,
        license=fields.get("license") or "",
        compatibility=fields.get("compatibility") or "",
        allowed_tools=fields.get("allowed-tools") or "",
        metadata=metadata,
        strict=strict,
        flags=flags,
    )


def _seed_name(name: Any) -> bool:
    return isinstance(name, str) and name != slug_of(name) and " " in name


def _from_seed(fields: dict[str, Any], lines: dict[str, int], where: str) -> dict[str, Any]:
    """The seed's keys moved under `metadata`."""
    moved = {key: value for key, value in fields.items() if key not in SEED_FIELDS}
    given = moved.get("metadata")
    metadata: dict[str, Any] = dict(cast("dict[str, Any]", given)) if isinstance(given, dict) else {}
    for key in sorted(SEED_FIELDS & fields.keys()):
        value = fields[key]
        if isinstance(value, list):
            words = cast("list[Any]", value)
            if not all(isinstance(word, str) for word in words):
                raise _wrong(where, lines[key], f"`{key}` is not a list of words")
            value = ", ".join(words)
        if not isinstance(value, str):
            raise _wrong(where, lines[key], f"`{key}` is neither a text nor a list")
        metadata[f"druse.{key}"] = value
    moved["metadata"] = metadata
    if isinstance(moved.get("name"), str):
        moved["name"] = slug_of(moved["name"])
    return moved


def _check(fields: Mapping[str, Any], lines: Mapping[str, int], where: str) -> None:
    def wrong(key: str, reason: str) -> Invalid:
        return _wrong(where, lines.get(key, 1), reason)

    for key in ("name", "description"):
        if key not in fields:
            raise wrong(key, f"`{key}` is missing")
    for key, value in fields.items():
        if key != "metadata" and not isinstance(value, str):
            raise wrong(key, f"`{key}` is not a text")
    name, description = fields["name"], fields["description"]
    if not name or name != unicodedata.normalize("NFKC", name) or name != name.lower() or len(name) > MAX_NAME:
        raise wrong("name", f"the name {name[:80]!r} is not 1 to {MAX_NAME} lower case letters, digits and hyphens")
    if name[0] == "-" or name[-1] == "-" or "--" in name or not all(c.isalnum() or c == "-" for c in name):
        raise wrong("name", f"the name {name!r} has other characters than letters, digits and single inner hyphens")
    alphabets = mixed(name)
    if alphabets:
        raise wrong("name", f"the name {name!r} mixes letters of {alphabets}, and so can pass for another")
    if not description.strip() or len(description) > MAX_DESCRIPTION:
        raise wrong("description", f"the description is empty or longer than {MAX_DESCRIPTION} characters")
    if _MARKUP.search(description):
        raise wrong("description", "the description holds markup, which a client may read as part of its prompt")
    if len(fields.get("compatibility") or "") > MAX_COMPATIBILITY:
        raise wrong("compatibility", f"`compatibility` is longer than {MAX_COMPATIBILITY} characters")
    metadata = fields.get("metadata")
    if metadata is not None and not _texts(metadata):
        raise wrong("metadata", "`metadata` is not a mapping of texts to texts")


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, str) for part in cast("dict[Any, Any]", value).values())


def _front_matter(head: str, where: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The fields and the line each stands on; every scalar is a text."""
    import yaml

    reader: Any = yaml
    if len(head.encode("utf-8", "surrogatepass")) > MAX_HEAD:
        raise _wrong(where, 1, f"the front matter is larger than {MAX_HEAD} bytes")
    try:
        _refuse_tricks(head, where)
        node: Any = reader.compose(head, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark: Any = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise _wrong(where, (mark.line if mark else 0) + 2, f"the front matter is not YAML: {problem}") from error
    if not isinstance(node, yaml.MappingNode):
        raise _wrong(where, 2, "the front matter is not a list of fields")
    fields: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in cast("list[tuple[Any, Any]]", node.value):
        key = str(key_node.value)
        line = int(key_node.start_mark.line) + 2
        if key in fields:
            raise _wrong(where, line, f"`{key}` stands there twice")
        fields[key] = _value(value_node, where)
        lines[key] = line
    return fields, lines


def _refuse_tricks(head: str, where: str) -> None:
    """Aliases, tags and deep nesting have no place in front matter and are how YAML is used to attack a reader."""
    import yaml

    depth = 0
    reader: Any = yaml
    events: Iterator[Any] = reader.parse(head, Loader=yaml.BaseLoader)
    for count, each in enumerate(events):
        event: Any = each
        line = int(event.start_mark.line) + 2
        opens, closes = isinstance(each, yaml.CollectionStartEvent), isinstance(each, yaml.CollectionEndEvent)
        if isinstance(each, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _wrong(where, line, "the front matter uses YAML anchors or aliases")
        if getattr(event, "tag", None):
            raise _wrong(where, line, "the front matter uses YAML tags")
        depth += opens - closes
        if depth > _MAX_DEPTH or count > _MAX_EVENTS:
            raise _wrong(where, line, "the front matter is nested too deeply or has too many entries")


def _value(node: Any, where: str) -> Any:
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    parts = cast("list[Any]", node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_value(part, where) for part in parts]
    pairs: dict[str, Any] = {}
    for key_node, value_node in parts:
        key = _value(key_node, where)
        if not isinstance(key, str) or key in pairs:
            raise _wrong(where, int(key_node.start_mark.line) + 2, f"the key {key!r} stands there twice or is no text")
        pairs[key] = _value(value_node, where)
    return pairs


def _scalar(value: str) -> str:
    """A YAML scalar that every reader takes for the same text, also the reference validator, which splits at ---."""
    if _PLAIN.fullmatch(value) and value == value.strip() and "---" not in value and value.lower() not in _YAML_WORDS:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return '"' + escaped.replace("\t", "\\t").replace("---", "\\x2d--") + '"'


def _wrong(where: str, line: int, reason: str) -> Invalid:
    return Invalid(f"Cannot use {where}:{line}: {reason}. Correct that line.", where=f"{where}:{line}", problem=reason)
