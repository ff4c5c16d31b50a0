"""A conversation with one model: what was said, cut to what fits, and the next answer as it comes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bottega.data.records import Message
from bottega.engine.local import LocalEngine
from bottega.engine.requests import GREEDY, Request, Sampling
from bottega.errors import UserError

if TYPE_CHECKING:
    from bottega.model.scorer import Scorer

LEAST_ROOM = 16  # tokens that an answer is never left with fewer of


@dataclass(frozen=True)
class Judge:
    """A reward model that chooses among several answers."""

    folder: Path
    answers: int = 8


@dataclass
class Conversation:
    """One model and what was said so far. One that was never taught to chat continues the text."""

    folder: Path
    device: str = "auto"
    sampling: Sampling = GREEDY
    max_tokens: int = 256  # of an answer
    system: str = ""
    judge: Judge | None = None
    messages: list[Message] = field(default_factory=list)
    forgotten: int = 0  # messages that fit no more, in the last prompt

    def __post_init__(self) -> None:
        from bottega.lineage.loading import load, stop_ids

        self.name, self.speaks = _who(self.folder)
        model, self.tokenizer = load(self.folder, self.device)
        self._stop = frozenset(stop_ids(self.tokenizer, speaks=self.speaks))
        self._engine = LocalEngine(model, self.tokenizer, slots=self.judge.answers if self.judge else 1)
        self._scorer = self._load_judge() if self.judge else None

    def clear(self) -> None:
        """Begin anew."""
        self.messages.clear()

    def switch(self, folder: Path) -> None:
        """Go on with another model: it reads all that was said, as if it had said it."""
        other = Conversation(folder, self.device, self.sampling, self.max_tokens, self.system, self.judge)
        self.close()
        self.folder, self.name, self.speaks = other.folder, other.name, other.speaks
        self._engine, self.tokenizer, self._stop = other._engine, other.tokenizer, other._stop
        self._scorer = other._scorer

    def close(self) -> None:
        """Free the model."""
        self._engine.close()

    def ask(self, text: str) -> Generator[str, None, None]:
        """The answer in pieces to be shown at once. What was shown is kept, even where the reader stops."""
        text = text.encode("utf-8", "replace").decode()  # what a pipe holds need not be UTF-8
        asked = [*self.messages, Message("user", text)]
        sampling = replace(self.sampling, seed=self.sampling.seed + len(self.messages))
        request = Request(self._prompt(asked), self.max_tokens, sampling, stop_ids=self._stop)
        said: list[str] = []
        try:
            if self._scorer is not None:
                said.append(self._best(request))
                yield said[0]
                return
            with self._engine.submit(request) as events:
                for event in events:
                    said.append(event.text)
                    if event.text:
                        yield event.text
        finally:
            self.messages = [*asked, Message("assistant", "".join(said))]

    def _best(self, request: Request) -> str:
        """Of several answers that are sampled, the one that the judge likes best."""
        from bottega.evals.scoring import best_of

        assert self.judge is not None and self._scorer is not None
        (found,) = self._engine.generate([replace(request, n=self.judge.answers)])
        return best_of(self._scorer, request.tokens, found).text

    def _load_judge(self) -> Scorer:
        from bottega.data.tokenizer import Tokenizer
        from bottega.lineage.loading import load_judge
        from bottega.model.hub import is_scorer

        assert self.judge is not None
        folder = self.judge.folder
        if not is_scorer(folder):
            raise UserError(f"{folder.name} in {folder.parent} is no reward model: it scores no answers.")
        if Tokenizer.load(folder).digest != self.tokenizer.digest:
            raise UserError(
                f"the reward model in {folder} has another tokenizer than {self.name}: it would read other "
                "tokens than were said. Choose a reward model of the same family."
            )
        return load_judge(folder, self.device)[0]

    def _prompt(self, messages: list[Message]) -> list[int]:
        """The tokens of what was said; the oldest messages go first when they do not fit."""
        limit = self._engine.capabilities.max_tokens - LEAST_ROOM
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
