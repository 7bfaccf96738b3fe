"""Topic templates: ``tele/{device}/SENSOR`` selects topics and captures what stands in the braces.

``{name}`` is one level, ``{name...}`` one or more (names with slashes in them), ``+`` any one level, and ``#`` at the
end whatever follows. The captures fill in the names of devices and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from domain.topic_filters import check_filter, overlap
from ingest.mapping.settings import invalid
from ingest.quarantine_reasons import Reason, Unusable

MAX_KEY_LENGTH = 256
MAX_TEMPLATES = 16
_LEVEL = re.compile(r"\{([A-Za-z_]\w*)(\.\.\.)?\}", re.ASCII)
_PLACE = re.compile(r"\{([^{}]*)\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Template:
    """One template, ready to match. Raises ValueError for a text that is none."""

    __slots__ = ("_pattern", "filter", "names")

    def __init__(self, text: str) -> None:
        levels = text.split("/")
        pattern: list[str] = []
        selects: list[str] = []
        names: list[str] = []
        for place, level in enumerate(levels):
            capture = _LEVEL.fullmatch(level)
            if capture is not None:
                names.append(capture[1])
                pattern.append(f"(?P<{capture[1]}>{'.+' if capture[2] else '[^/]+'})")
                selects.append("#" if capture[2] else "+")
            elif level == "#" and place == len(levels) - 1:
                selects.append("#")
            elif level == "+":
                pattern.append("[^/]*")
                selects.append("+")
            elif any(sign in level for sign in "{}+#"):
                raise ValueError(f"got {text!r}, expected each level to be a name, {{name}}, {{name...}} or +")
            else:
                pattern.append(re.escape(level))
                selects.append(level)
        if len(names) != len(set(names)) or text.count("...}") > 1:
            raise ValueError(f"got {text!r}, expected each name once, and ... at most once")
        if "#" in selects:
            del selects[selects.index("#") + 1 :]
        self.filter = "/".join(selects)
        check_filter(self.filter)
        self.names = frozenset(names)
        tail = "(?:/.*)?" if levels[-1] == "#" and pattern else ".*" if levels[-1] == "#" else ""
        self._pattern = re.compile("/".join(pattern) + tail, re.DOTALL)

    def match(self, topic: str) -> Mapping[str, str] | None:
        """Return what the topic has in the braces, None when the template does not select it."""
        found = self._pattern.fullmatch(topic)
        return None if found is None else found.groupdict()


class Naming:
    """A text with places to fill: ``{device}``, ``{site}-{line}``; without any it is a constant."""

    __slots__ = ("_text", "names")

    def __init__(self, text: str) -> None:
        self.names = frozenset(_PLACE.findall(text))
        self._text = text

    def fill(self, known: Mapping[str, str]) -> str | None:
        """Return the text with its places filled in, None when one of them is not known."""
        if not self.names:
            return self._text
        if any(name not in known for name in self.names):
            return None
        return _PLACE.sub(lambda place: known[place[1]], self._text)


def templates(field: str, texts: Sequence[str], feed_topic: str, needed: Collection[str] = ()) -> tuple[Template, ...]:
    """Return the templates of one setting. Raises Refused("invalid_feed").

    Each must select topics that the feed's filter selects, and capture the names ``needed``.
    """
    if len(texts) > MAX_TEMPLATES:
        raise invalid(field, f"at most {MAX_TEMPLATES} templates", f"{len(texts)}")
    made = []
    for text in texts:
        try:
            template = Template(text)
        except ValueError as error:
            raise invalid(field, "topic templates such as plant/{device}/data", str(error)) from None
        if not overlap(template.filter, feed_topic):
            raise invalid(field, f"within the feed's topic '{feed_topic}'", f"'{text}', which never comes by it")
        missing = set(needed) - template.names
        if missing:
            raise invalid(field, f"templates that capture {{{', '.join(sorted(missing))}}}", f"'{text}'")
        made.append(template)
    return tuple(made)


def first_match(candidates: Sequence[Template], topic: str) -> Mapping[str, str] | None:
    """Return the captures of the first template that selects the topic, None when none does."""
    for template in candidates:
        found = template.match(topic)
        if found is not None:
            return found
    return None


def no_template(topic: str, candidates: Sequence[Template]) -> Unusable:
    """Return the refusal of a topic that no template selects."""
    wanted = ", ".join(template.filter for template in candidates)
    return Unusable(Reason.BAD_TOPIC, f"got topic {topic[:200]!r}, expected one of the feed's: {wanted}")


def device_key(name: str | None, came_from: str) -> str:
    """Return the name by which the message calls its device. Raises Unusable("bad_device_name")."""
    if name is None or not 1 <= len(name) <= MAX_KEY_LENGTH or _CONTROL.search(name):
        got = "none" if name is None else repr(name[:MAX_KEY_LENGTH])
        raise Unusable(
            Reason.BAD_DEVICE_NAME,
            f"got {got} from {came_from}, expected 1 to {MAX_KEY_LENGTH} characters without control characters",
        )
    return name
