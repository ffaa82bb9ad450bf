"""Finding what people type: names as words and sizes, so that ``llama3-8B`` and ``Llama 3 8B`` are one."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

_TOKEN: Final = re.compile(r"\d+(?:\.\d+)*(?:x\d+(?:\.\d+)*)?(?:[bmkt](?![a-z]))?|[a-z]+|\+")
_MAX_QUERY_CHARACTERS: Final = 200
_LEAST_SHARE_FOUND: Final = 0.5
_LEAST_LIKENESS: Final = 0.45

EXACT, PREFIX, MISSING = 0, 1, 3


def tokens(text: str) -> tuple[str, ...]:
    """Words and sizes of a name, lower case: ``Qwen2.5-14B-Instruct`` → ``qwen 2.5 14b instruct``."""
    return tuple(_TOKEN.findall(text[:_MAX_QUERY_CHARACTERS].lower()))


def key(text: str) -> str:
    """The form in which names are compared; empty where nothing of the text is a word or a size."""
    return " ".join(tokens(text))


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that can be found: ``names`` say what it is, ``words`` are further text it may be found by."""

    slug: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()
    rank: int = 0
    """Among equals the larger comes first."""


class NameIndex:
    """Names of a fixed set of entries: exact resolution, search and nearest names."""

    def __init__(self, entries: Sequence[Entry], aliases: Mapping[str, str] | None = None) -> None:
        self._entries = tuple(entries)
        self._name_tokens = {entry.slug: tokens(entry.names[0]) for entry in entries}
        self._all_tokens = {
            entry.slug: frozenset(token for text in (*entry.names, *entry.words) for token in tokens(text))
            for entry in entries
        }
        self._by_key = _unambiguous(entries) | {key(alias): slug for alias, slug in (aliases or {}).items()}
        self._ranks = {entry.slug: entry.rank for entry in entries}

    def resolve(self, text: str) -> str | None:
        """The slug of the entry that goes by this name or alias, or None where none or more than one does."""
        return self._by_key.get(key(text))

    def search(self, text: str, *, limit: int = 20) -> list[str]:
        """Slugs of the entries that hold the most words of ``text``, best first; ties go by ``Entry.rank``."""
        found = self._scored(text)
        complete = [slug for penalty, slug in found if penalty < MISSING]
        return (complete or [slug for _, slug in found])[:limit]

    def nearest(self, text: str, *, limit: int = 3) -> list[str]:
        """Slugs of the entries whose names hold all of ``text`` or look most like it, for "did you mean"."""
        matcher = SequenceMatcher(autojunk=False)
        matcher.set_seq2(key(text))
        best: dict[str, float] = {}
        for name, slug in self._by_key.items():
            likeness = _ratio(matcher, name)
            if likeness > best.get(slug, _LEAST_LIKENESS):
                best[slug] = likeness
        alike = sorted(best, key=lambda slug: (-best[slug], -self._ranks[slug], slug))
        found = self._scored(text)
        complete = [slug for penalty, slug in found if penalty < MISSING]
        return list(dict.fromkeys([*complete, *alike, *(slug for _, slug in found)]))[:limit]

    def _scored(self, text: str) -> list[tuple[int, str]]:
        wanted = tokens(text)
        if not wanted:
            return []
        exact, known = self.resolve(text), set(wanted)
        scored = sorted(
            (entry.slug != exact, penalty, len(set(self._name_tokens[entry.slug]) - known), -entry.rank, entry.slug)
            for entry in self._entries
            if (penalty := self._penalty(entry, wanted)) <= MISSING * len(wanted) * (1 - _LEAST_SHARE_FOUND)
        )
        return [(penalty, slug) for _, penalty, _, _, slug in scored]

    def _penalty(self, entry: Entry, wanted: tuple[str, ...]) -> int:
        known = self._all_tokens[entry.slug]
        return sum(EXACT if token in known else PREFIX if _begins_one(token, known) else MISSING for token in wanted)


def _begins_one(token: str, known: Iterable[str]) -> bool:
    """A word may be typed in part and a version without its minor number; a single letter or a size may not."""
    if token.isdecimal():
        return any(other.startswith(f"{token}.") for other in known)
    return len(token) > 1 and token.isalpha() and any(other.startswith(token) for other in known)


def _unambiguous(entries: Iterable[Entry]) -> dict[str, str]:
    """Names that mean one entry only; a first name goes before the others' further names."""
    found: dict[str, str] = {}
    for further in (False, True):
        names: dict[str, set[str]] = {}
        for entry in entries:
            for name in entry.names[1:] if further else entry.names[:1]:
                names.setdefault(key(name), set()).add(entry.slug)
        found |= {name: slugs.pop() for name, slugs in names.items() if len(slugs) == 1 and name and name not in found}
    return found


def _ratio(matcher: "SequenceMatcher[str]", name: str) -> float:
    matcher.set_seq1(name)
    if matcher.real_quick_ratio() < _LEAST_LIKENESS or matcher.quick_ratio() < _LEAST_LIKENESS:
        return 0.0
    return matcher.ratio()
