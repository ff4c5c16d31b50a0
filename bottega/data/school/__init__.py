"""The embedded school: a seeded small world in English and Chinese that a family can be raised on.

Importing this package fills the registry (every module named here registers its parts and tasks) and opens
``school:NAME`` as a source.
"""

from __future__ import annotations

from bottega.data.school import (  # noqa: F401
    arithmetic,
    assistant,
    code_talk,
    code_tasks,
    dialogues,
    entailment,
    graded,
    instructions,
    lists,
    mixed,
    programs,
    prose,
    reasoning,
    schoolbook,
    traces,
)
from bottega.data.school.registry import open_school
from bottega.data.sources import register_scheme

register_scheme("school", open_school, own_splits=True)
