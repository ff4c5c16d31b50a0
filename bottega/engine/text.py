"""From a stream of ids to pieces of text that may be shown at once."""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from bottega.data.tokenizer import Tokenizer


class TextStream:
    """Turns ids into text pieces: never half a character, never a stop string nor the beginning of one.

    The pieces joined are the decoded ids, cut before the first stop string. Control tokens show nothing.
    """

    def __init__(self, tokenizer: Tokenizer, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._control = frozenset(tokenizer.control.values())
        self._stop = [text for text in stop if text]
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # may yet become a stop string
        self.stopped = False  # a stop string was met: whatever follows shows nothing

    def push(self, token: int) -> str:
        """The text that this id lets be shown, often empty."""
        if self.stopped or token in self._control:
            return ""
        return self._show(self._utf8.decode(self._tokenizer.token_bytes(token)), final=False)

    def finish(self) -> str:
        """The text held back, when no more ids come."""
        if self.stopped:
            return ""
        return self._show(self._utf8.decode(b"", final=True), final=True)

    def _show(self, text: str, *, final: bool) -> str:
        self._held += text
        found = [(self._held.find(stop), stop) for stop in self._stop]
        if met := [(at + len(stop), at) for at, stop in found if at >= 0]:
            # The one that is complete first, whatever the pieces in which the text came.
            _, cut = min(met)
            self.stopped = True
            return self._held[:cut]
        keep = 0 if final else self._longest_beginning_of_a_stop()
        shown = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return shown

    def _longest_beginning_of_a_stop(self) -> int:
        longest = max(map(len, self._stop), default=0)
        for size in range(min(longest - 1, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stop):
                return size
        return 0
