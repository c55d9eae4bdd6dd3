"""CSV as it comes from outside, block by block: RFC 4180 in UTF-8. What is unsound costs its own row, not the file.

Whatever is sent, no more than a block and one row is held, and nothing is read more often than twice.
"""

import codecs
import csv
from collections.abc import Sequence
from io import IncrementalNewlineDecoder, StringIO
from typing import Final, NamedTuple

LONGEST_ROW: Final = 64 * 1024
"""Characters. Well below the limit of the csv module for one field, which is the same for the whole process."""
REREAD: Final = 1024 * 1024
"""Characters that may be read twice in any file; in a large one as many as it has."""
TOO_LONG: Final = f"the row has more than {LONGEST_ROW // 1024} Ki characters"
NO_END: Final = "a quoted field has no end"
BROKEN: Final = "a quoted field goes on behind its closing quote"


class Record(NamedTuple):
    """One row, or why it is none."""

    line: int
    """The physical line on which it begins, from 1."""
    fields: Sequence[str]
    """Bytes that are no UTF-8 stand in them as lone surrogates."""
    flaw: str = ""


class Records:
    """The records of one file. Line ends are LF, CRLF or CR, and LF within a field; empty lines are none."""

    def __init__(self) -> None:
        """Nothing is read yet. A BOM is allowed."""
        decoder = codecs.getincrementaldecoder("utf-8-sig")(errors="surrogateescape")
        self._decoder = IncrementalNewlineDecoder(decoder, translate=True)
        self._lines: list[str] = []
        """Of a record that has not ended."""
        self._first = 1
        """The number of the first of them, or of the next line."""
        self._tail = ""
        """Of a line that has not ended."""
        self._is_skipping = False
        """Up to the next line end: that line was too long."""
        self._read = 0
        self.read_again = 0
        """Characters that were read twice."""

    def feed(self, block: bytes, *, last: bool = False) -> list[Record]:
        """The records that this block ends."""
        text = self._decoder.decode(block, final=last)
        self._read += len(text)
        if self._is_skipping:
            _, end, text = text.partition("\n")
            self._is_skipping = not end
            self._first += 1 if end else 0
        lines = list(StringIO(self._tail + text, newline="\n"))
        self._tail = lines.pop() if lines and not last and not lines[-1].endswith("\n") else ""
        found = self._parse([*self._lines, *lines], last=last)
        if len(self._tail) > LONGEST_ROW:
            found.append(Record(self._first, (), TOO_LONG))
            self._first += len(self._lines)
            self._lines, self._tail, self._is_skipping = [], "", True
        return found

    def _parse(self, lines: Sequence[str], *, last: bool) -> list[Record]:
        source = _Source(lines)
        reader = csv.reader(source, strict=True)
        found: list[Record] = []
        while True:
            start = source.begin()
            try:
                fields = next(reader)
            except StopIteration:
                break
            except csv.Error:
                if source.is_dry and not last:
                    break
                flaw = TOO_LONG if source.is_over else NO_END if source.is_dry else BROKEN
                found.append(Record(self._first + start, (), flaw))
                self._go_on(source, start)
            else:
                if fields:
                    found.append(Record(self._first + start, fields))
        self._lines = list(lines[start:])
        self._first += start
        return found

    def _go_on(self, source: "_Source", start: int) -> None:
        """Behind the first line of what was no record; behind all of it once too much was read twice."""
        taken = max(source.at, start + 1)
        again = sum(len(line) for line in source.lines[start + 1 : taken])
        if self.read_again + again > max(self._read, REREAD):
            source.at = taken
        else:
            self.read_again += again
            source.at = start + 1


class _Source:
    """Lines for the csv module, no more of them than one row may have."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = lines
        self.at = 0
        self.is_dry = self.is_over = False
        self._size = 0

    def begin(self) -> int:
        """A record begins here."""
        self._size, self.is_dry, self.is_over = 0, False, False
        return self.at

    def __iter__(self) -> "_Source":
        return self

    def __next__(self) -> str:
        if self.at == len(self.lines):
            self.is_dry = True
            raise StopIteration
        line = self.lines[self.at]
        self._size += len(line)
        if self._size > LONGEST_ROW:
            self.is_over = True
            if self._size == len(line):  # nothing was taken: to the csv module this would be the end
                self.at += 1
                raise csv.Error
            raise StopIteration
        self.at += 1
        return line
