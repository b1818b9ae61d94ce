"""The letter by which staff are told; `outbox.alert_staff` owes it."""

from store.mail.letters import Letter, letter
from store.mail.mime import Mailbox
from store.mail.models import Delivery
from store.mail.outbox import ALERT


@letter(
    ALERT,
    sample=lambda: {
        "title": "A promised date has passed",
        "text": "“Effective SEND Practice in the Early Years” was expected on 1 April 2027 and "
        "is not released.\n\nThe date is no longer shown. Set a new one or release the edition.",
    },
)
def staff_alert(delivery: Delivery) -> Letter:
    """What staff are told, as it was when it was owed."""
    facts = delivery.facts or {}
    context = {"title": facts["subject"], "text": facts["text"]}
    return Letter(Mailbox(delivery.address or ""), context)
