"""Forms: the fields of a multipart body (RFC 7578) while it comes in.

Here: what the parser of ``python-multipart`` tells, kept in memory (90 kB take 30 µs; Starlette's temporary files 115).
Not here: how much may come in (``serving.bodies``).
"""

from dataclasses import dataclass, field
from typing import Any

from python_multipart.multipart import parse_options_header

from skin_platform.serving.errors import RouteError

MAX_IMAGES = 64  # in one request; so many photographs of a telephone are more than most proxies let through
MAX_PARTS = MAX_IMAGES + 16  # of a form; without a bound a body of empty fields would keep the only thread busy


@dataclass
class Part:
    """A field of a form: the header that comes in now, and what is known of the field."""

    header: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    disposition: bytes = b""
    data: bytearray = field(default_factory=bytearray)

    @property
    def name(self) -> str:
        """The field's name."""
        return parse_options_header(self.disposition)[1].get(b"name", b"").decode("utf-8", "replace")


class Form:
    """A form while it comes in."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_whole = False

    def callbacks(self) -> Any:
        """What the parser calls; ``data[start:end]`` is a piece of what the name says."""
        return {"on_part_begin": self._begin, "on_part_data": self._data, "on_header_field": self._field,
                "on_header_value": self._value, "on_header_end": self._header, "on_end": self._end}

    def _begin(self) -> None:
        if len(self.parts) == MAX_PARTS:
            raise RouteError("too_many_images", f"the form has more than {MAX_PARTS} fields")
        self.parts.append(Part())

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def _field(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].header += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].value += data[start:end]

    def _header(self) -> None:
        part = self.parts[-1]
        if part.header.lower() == b"content-disposition":
            part.disposition = bytes(part.value)
        part.header.clear()
        part.value.clear()

    def _end(self) -> None:
        self.is_whole = True
