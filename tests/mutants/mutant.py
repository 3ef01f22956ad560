"""What a mutant is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Edit:
    file: str
    search: str  # must occur exactly once
    replace: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    number: int  # of the sixteen that must be there; 0: one more
    name: str
    breaks: str  # the promise that no longer holds
    edits: tuple
    checks: tuple  # each of them must fail


def mutant(number, name, breaks, edits, *checks):
    """`edits`: one (file, search, replace), or several."""
    several = edits if isinstance(edits[0], tuple) else (edits,)
    return Mutant(number, name, breaks, tuple(Edit(*edit) for edit in several), checks)
