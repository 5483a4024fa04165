"""Where a line receives to: memory that is kept, grows with the traffic, and is given back when that gets small.

1. Frames are cut out as views of it, without a copy. They hold until the next ``room``, which may put other bytes in
   their place. No memory is ever resized under a view: the buffer moves to other memory instead.
2. It is as long as the traffic wants: ``_LEAST`` at rest, four times as long when a read has filled it, at most
   ``_MOST``; a quarter as long after ``_CALM`` reads in a row that an eighth would have held; ``_LEAST`` in silence.
3. A message that is longer is received to where it stays, into memory of its own length and no further than its end, so
   that nothing behind it has to be moved. A peer is believed what it has sent, not what it announces: ``_AT_ONCE`` for
   the beginning, and from then on four times what is here.
4. What is left over, a part of one frame, moves to the front where the room behind it gets short, every byte once at
   most.
"""

from __future__ import annotations

__all__ = ["ReceiveBuffer"]

_LEAST = 4 << 10  # Holds what a quiet session gets at a time. Twice as much would be seen in the memory of a thousand.
_MOST = 1 << 20  # Measured, audio with its JSON: a quarter of it costs 10 % more. As much waits in the kernel then.
_AT_ONCE = 1 << 20
_CALM = 16


class ReceiveBuffer:
    """Bytes received and not yet taken: ``data[position:end]``.

    Attributes:
        data: the memory, for reading headers.
        view: of ``data``, for cutting frames out.
        position: of the first byte not yet taken.
        end: behind the last byte received.
        spacious: whether it takes more memory than at rest.

    Threads: the reader's alone.
    """

    __slots__ = ("_calm", "_offered", "_span", "data", "end", "position", "spacious", "view")

    def __init__(self) -> None:
        self.position = self.end = 0
        self._calm = 0  # Reads in a row that were small for this buffer.
        self._offered = 0  # Length of the room that was last given.
        self._span = _LEAST
        self.spacious = False
        self.data = bytearray(_LEAST)
        self.view = memoryview(self.data)

    @property
    def available(self) -> int:
        """Bytes received and not yet taken."""
        return self.end - self.position

    def room(self, size: int) -> memoryview:
        """Where to receive to next; never empty.

        Args:
            size: bytes that are wanted together, more than are available.
        """
        left = self.end - self.position
        if not left:
            self.position = self.end = 0
            if size <= self._span == len(self.data) and self._calm < _CALM:  # The usual case, the short way.
                self._offered = self._span
                return self.view
            self._calm_down()
        length, fit = len(self.data), self._fit(size, left)
        if fit > length or (length > _AT_ONCE and not left):
            self._renew(fit)
        elif self.position and (length > _MOST or length - self.end < max(size - left, self._span // 2)):
            self.view[:left] = self.view[self.position : self.end]
            self.position, self.end = 0, left
        # In the memory of a large message another one of its kind shall find its place as well.
        room = self.view[self.end :] if len(self.data) <= _MOST else self.view[self.end : fit]
        self._offered = len(room)
        return room

    def spare(self) -> memoryview:
        """What is left of the last room, behind what was received into it."""
        return self.view[self.end : self.end + self._offered]

    def received(self, count: int) -> None:
        """``count`` bytes have been put into the last room or its spare part."""
        self.end += count
        self._offered -= count
        if not self._offered and self._span < _MOST:
            self._span = min(_MOST, self._span * 4)
            self._calm = 0
        elif self.end * 8 < len(self.data):
            self._calm += 1
        else:
            self._calm = 0

    def take(self, size: int) -> bytes:
        """The next ``size`` available bytes."""
        start = self.position
        self.position = start + size
        return bytes(self.view[start : self.position])

    def until(self, mark: bytes) -> int:
        """How many available bytes there are up to the end of ``mark``; all of them, where it is not among them."""
        found = self.data.find(mark, self.position, self.end)
        return self.available if found < 0 else found + len(mark) - self.position

    def forget(self) -> None:
        """Nobody wants what is in it: take it out, without a copy, and let no flood make it grow."""
        self.position = self.end
        self.shrink()

    def shrink(self) -> None:
        """Nothing comes for a while: give back what a buffer at rest does not need."""
        if not self.available:
            self._span = _LEAST
            self.position = self.end = 0
            if self.spacious:
                self._renew(_LEAST)

    def discard(self) -> None:
        """Give back all of it; nothing can be received any more."""
        self.position = self.end = 0
        self._renew(0)

    def _calm_down(self) -> None:
        if self._calm >= _CALM and self.spacious:
            self._span = max(_LEAST, self._span // 4)
            self._renew(self._span)
        elif self._calm >= _CALM:
            self._calm = 0

    def _fit(self, size: int, left: int) -> int:
        """How long memory should be in which ``size`` bytes are wanted, of which ``left`` are here. Rule 3."""
        if size <= _AT_ONCE:
            return max(size, self._span)
        step = _AT_ONCE
        while step <= left:
            step *= 4
        return min(size, step)

    def _renew(self, length: int) -> None:
        """Go on in new memory, with what is left over."""
        data = bytearray(length)
        view = memoryview(data)
        left = self.end - self.position
        if left:
            view[:left] = self.view[self.position : self.end]
        self.data, self.view = data, view
        self.spacious = length > _LEAST
        self.position, self.end = 0, left
        self._calm = 0
