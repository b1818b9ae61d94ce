"""Expected refusals: each knows the sentence that a person may read and its HTTP status."""

from typing import ClassVar


class Refusal(Exception):
    """Something that was asked for and cannot be done, for a reason that a person understands."""

    status: int = 409
    heading: ClassVar[str] = "That cannot be done"
    sentence: str = "That cannot be done now."
    # Where the page leads: an address and what its button says.
    way_out: tuple[str, str] | None = None
    # Seconds after which asking again may help; said in the Retry-After header.
    retry_after: int | None = None

    def __init__(self, sentence: str | None = None) -> None:
        if sentence is not None:
            self.sentence = sentence
        super().__init__(self.sentence)


class InvalidFields(Refusal):
    """Values of a form or command that cannot be taken: field name → sentence."""

    status = 422
    sentence = "There is a problem with what was entered."

    def __init__(self, faults: dict[str, str]) -> None:
        self.faults = faults
        super().__init__(" ".join(faults.values()))


class NotFound(Refusal):
    """A thing that was named and is not there."""

    status = 404
    heading = "Not found"
    sentence = "We do not know that."
