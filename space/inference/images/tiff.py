"""Tags of a TIFF file or of EXIF data, which have the same format: read with bounds, rewritten."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# Tags that are needed to decode pixels, and those that are read here; all others are dropped.
KEPT_TAGS = frozenset(
    {*range(256, 260), 262, 266, 273, *range(277, 280), 284, 292, 293, 317, 320}
    | {*range(322, 326), 332, 338, 339, 347, *range(512, 522), *range(529, 533), 50674}
)
NUMBERS = {
    "width": 256,
    "height": 257,
    "bits": 258,
    "compression": 259,
    "strip offsets": 273,
    "orientation": 274,
    "largest sample": 281,
    "plane layout": 284,
    "tile width": 322,
    "tile height": 323,
    "tile offsets": 324,
}
# Bytes of a value of each type.
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TYPE_BYTES |= {16: 8, 17: 8, 18: 8}
UNSIGNED = {1: "B", 3: "H", 4: "L", 13: "L", 16: "Q", 18: "Q"}
# Largest number of strips or tiles; palettes have 196,608 levels.
MAX_VALUES = 2**20


@dataclass(frozen=True)
class Entry:
    """One tag: type, number of values, and the bytes of the values or of their offset."""

    kind: int
    values: int
    field: bytes


@dataclass(frozen=True)
class TiffDirectory:
    """The tags of the first page.

    Attributes:
        order: struct's sign of the byte order.
        big: whether it is a BigTIFF, with 64-bit offsets.
        offset: of the directory.
        next_page: offset of the next page's directory; 0 if there is none.
        entries: by tag; the first one of a repeated tag.
        values: for each entry, the bytes of its values if complete.
    """

    order: str
    big: bool
    offset: int
    next_page: int
    entries: dict[int, Entry]
    values: dict[int, bytes]

    @classmethod
    def read(cls, content: bytes, max_entries: int) -> TiffDirectory | None:
        """Return the first directory; None if there is none or it has too many entries."""
        order = {b"II": "<", b"MM": ">"}.get(content[:2])
        if order is None:
            return None
        try:
            big = struct.unpack_from(order + "H", content, 2)[0] == 43
            (offset,) = struct.unpack_from(order + ("Q" if big else "L"), content, 8 if big else 4)
            (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, offset)
            if count > max_entries:
                return None
            layout = struct.Struct(order + ("HHQ8s" if big else "HHL4s"))
            start = offset + (8 if big else 2)
            entries: dict[int, Entry] = {}
            for at in range(start, start + count * layout.size, layout.size):
                tag, kind, number, field = layout.unpack_from(content, at)
                if tag in KEPT_TAGS or tag in NUMBERS.values():
                    entries.setdefault(tag, Entry(kind, number, field))
            end = start + count * layout.size
            following = content[end : end + (8 if big else 4)]
            next_page = int.from_bytes(following, "little" if order == "<" else "big")
        except (struct.error, OverflowError):
            return None
        directory = cls(order, big, offset, next_page, entries, {})
        for tag, entry in entries.items():
            values = directory._value_bytes(content, entry)
            if values is not None:
                directory.values[tag] = values
        return directory

    def _value_bytes(self, content: bytes, entry: Entry) -> bytes | None:
        """Return the stored values of an entry; None if they are incomplete."""
        size = entry.values * TYPE_BYTES.get(entry.kind, 0)
        if not 0 < entry.values <= MAX_VALUES or not size:
            return None
        if size <= len(entry.field):
            return entry.field[:size]
        (start,) = struct.unpack(self.order + ("Q" if self.big else "L"), entry.field)
        found = content[start : start + size]
        return found if len(found) == size else None

    def number(self, name: str) -> int | None:
        """Return the first value of a tag; None if it is missing or not a whole number."""
        tag = NUMBERS[name]
        code = UNSIGNED.get(self.entries[tag].kind) if tag in self.values else None
        if code is None:
            return None
        return int(struct.unpack_from(self.order + code, self.values[tag])[0])

    def count(self, name: str) -> int:
        """Return the number of values that a tag declares."""
        entry = self.entries.get(NUMBERS[name])
        return entry.values if entry else 0

    def bit_depth(self) -> int | None:
        """Return the significant bits of a sample; None if the tags give no more than 16.

        A largest sample of 65,535 is the standard's default and carries no information.
        """
        stored, largest = self.number("bits"), self.number("largest sample")
        if stored is not None and 8 < stored < 16:
            return stored
        if stored == 16 and largest and largest < 65535:
            return largest.bit_length()
        return None

    def rewritten(self, content: bytes) -> bytes:
        """Return the file with a new directory at its end that holds only `KEPT_TAGS`."""
        padded = content + bytes(len(content) % 2)
        tags = sorted(tag for tag in self.values if tag in KEPT_TAGS)
        directory = struct.pack(self.order + ("Q" if self.big else "H"), len(tags))
        for tag in tags:
            entry = self.entries[tag]
            directory += struct.pack(
                self.order + ("HHQ8s" if self.big else "HHL4s"),
                tag,
                entry.kind,
                entry.values,
                entry.field,
            )
        directory += bytes(8 if self.big else 4)
        place = struct.pack(self.order + ("Q" if self.big else "L"), len(padded))
        start = 8 if self.big else 4
        return b"".join([padded[:start], place, padded[start + len(place) :], directory])
