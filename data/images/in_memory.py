"""A file that lies in no folder: an upload is read without being written to a disk."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import PurePath


@dataclass(frozen=True)
class InMemory:
    """A name, which is never looked up, and its bytes; `read_radiograph` takes it as it takes a
    Path."""

    name: str
    content: bytes = field(repr=False)

    def __str__(self) -> str:
        return self.name

    @property
    def suffix(self) -> str:
        return PurePath(self.name).suffix

    def open(self, mode: str = "rb") -> BytesIO:
        return BytesIO(self.content)

    def read_bytes(self) -> bytes:
        return self.content
