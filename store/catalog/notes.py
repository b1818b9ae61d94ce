"""What staff write about an edition, as its letter can carry it."""

from functools import lru_cache

from store.kit.config import config
from store.kit.markup import Cut, cut_markdown, dead_links, pictures

LONGEST_NOTES = 600_000  # characters
# Bytes of HTML. Gmail shows no more than 102 kB of a letter, and the way to stop such letters
# stands at its end; what is round the notes takes up to 20 kB, so that 90 kB is the most.
_NOTES_MOST = 70_000


def notes_in_letter(notes: str) -> Cut:
    """The notes as the letter holds them: whole, or cut between two blocks."""
    return cut_markdown(notes, _NOTES_MOST)


def notes_fault(notes: str) -> str:
    """Why these notes cannot be kept; empty where they can."""
    if len(notes) <= LONGEST_NOTES:
        return ""
    return (
        f"What changed may have {LONGEST_NOTES:,} characters. This has {len(notes):,}: shorten it, "
        "or put the long part into the publication itself."
    )


def look_at_notes(notes: str) -> list[str]:
    """What staff should know of the notes before they leave, in sentences."""
    return list(_looked_at(notes, config().base_url))


@lru_cache(maxsize=64)
def _looked_at(notes: str, base: str) -> tuple[str, ...]:
    found = [
        f"The link “{one}” in the notes leads nowhere in a letter, so only its words are shown. Write "
        f"the whole address, such as https://… or {base}/…"
        for one in dead_links(notes)
    ]
    found += [
        f"The picture “{one}” in the notes is not shown, neither in the letter nor in the library: "
        "its words stand there instead."
        for one in pictures(notes)
    ]
    cut = notes_in_letter(notes)
    if cut.is_cut:
        found.append(
            "The notes are longer than mail programs show. In the letter they end after "
            f"“… {cut.ends}”, and a link leads on to the library, where they stand whole."
        )
    return tuple(found)
