"""Sentences in both languages of the house."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Text(BaseModel):
    """A sentence, or a few words, in English and in Chinese."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: str = Field(default="", description="English")
    zh: str = Field(default="", description="Chinese")

    def __bool__(self) -> bool:
        return bool(self.en or self.zh)

    def told(self, language: str) -> str:
        """In ``language``; in English where there is no Chinese."""
        return self.zh or self.en if language == "zh" else self.en

    @classmethod
    def of(cls, value: object) -> Text:
        """What :meth:`model_dump` gave; a string is taken for English."""
        return cls(en=value) if isinstance(value, str) else cls.model_validate(value)
