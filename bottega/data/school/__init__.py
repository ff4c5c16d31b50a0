"""The embedded school: a seeded small world in English and Chinese that a family can be raised on.

Importing this package fills the registry: every module named here registers its parts and tasks.
"""

from __future__ import annotations

from bottega.data.school import prose  # noqa: F401
