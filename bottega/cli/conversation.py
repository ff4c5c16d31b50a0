"""A conversation with one model: what was said, cut to what fits, and the next answer as it comes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from bottega.data.records import Message
from bottega.errors import UserError

LEAST_ROOM = 16  # tokens that an answer is never left with fewer of


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn."""

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 256
    seed: int = 0


@dataclass
class Conversation:
    """One model and what was said so far. One that was never taught to chat continues the text."""

    folder: Path
    device: str = "auto"
    sampling: Sampling = field(default_factory=Sampling)
    system: str = ""
    messages: list[Message] = field(default_factory=list)
    forgotten: int = 0  # messages that fit no more, in the last prompt

    def __post_init__(self) -> None:
        from bottega.lineage.loading import load, stop_ids

        self.name, self.speaks = _who(self.folder)
        self.model, self.tokenizer = load(self.folder, self.device)
        self._stop = stop_ids(self.tokenizer, speaks=self.speaks)

    def clear(self) -> None:
        """Begin anew."""
        self.messages.clear()

    def switch(self, folder: Path) -> None:
        """Go on with another model: it reads all that was said, as if it had said it."""
        other = Conversation(folder, self.device, self.sampling, self.system)
        self.folder, self.name, self.speaks = other.folder, other.name, other.speaks
        self.model, self.tokenizer, self._stop = other.model, other.tokenizer, other._stop

    def ask(self, text: str) -> Generator[str, None, None]:
        """The answer in pieces to be shown at once. What was shown is kept, even where the reader stops."""
        from bottega.engine.plain import stream
        from bottega.engine.text import TextStream

        text = text.encode("utf-8", "replace").decode()  # what a pipe holds need not be UTF-8
        asked = [*self.messages, Message("user", text)]
        prompt = self._prompt(asked)
        room = self.model.config.max_positions - len(prompt)
        shown = TextStream(self.tokenizer)
        said: list[str] = []
        tokens = stream(
            self.model,
            prompt,
            max_new_tokens=min(room, self.sampling.max_tokens),
            stop_ids=self._stop,
            temperature=self.sampling.temperature,
            top_p=self.sampling.top_p,
            seed=self.sampling.seed + len(self.messages),
        )
        try:
            for token in tokens:
                piece = shown.push(token)
                said.append(piece)
                if piece:
                    yield piece
            rest = shown.finish()
            said.append(rest)
            if rest:
                yield rest
        finally:
            self.messages = [*asked, Message("assistant", "".join(said))]

    def _prompt(self, messages: list[Message]) -> list[int]:
        """The tokens of what was said; the oldest messages go first when they do not fit."""
        limit = self.model.config.max_positions - LEAST_ROOM
        kept = messages if self.speaks else messages[-1:]
        for start in range(len(kept)):
            ids = self._encode(kept[start:])
            if len(ids) <= limit:
                self.forgotten = start
                return ids
        raise UserError(
            f"this message has {len(self._encode(kept[-1:])):,} tokens; {self.name} reads {limit:,} at once. "
            "Say it in fewer words."
        )

    def _encode(self, messages: list[Message]) -> list[int]:
        if not self.speaks:
            from bottega.lineage.loading import beginning

            return beginning(self.tokenizer, messages[-1].content)
        from bottega.data.chat import encode_chat

        system = [Message("system", self.system)] if self.system else []
        return list(encode_chat(self.tokenizer, [*system, *messages], add_generation_prompt=True).ids)


def _who(folder: Path) -> tuple[str, bool]:
    """A model's name, and whether it was taught to chat."""
    from bottega.lineage.card import read_card

    if not (folder / "card.json").is_file():
        return folder.name, True
    card = read_card(folder)
    return card.name, card.speaks
