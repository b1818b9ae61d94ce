"""The acts that are kept on record: one word each, the sentence about it, and what it concerns."""

from enum import StrEnum


class Kind(StrEnum):
    """What acts are about, as the page of the record sorts them."""

    RELEASES = "releases"
    CATALOGUE = "prices and dates"
    MONEY = "money"
    CUSTOMERS = "customers"
    STAFF = "staff and settings"


class Act(StrEnum):
    """What was done. The word is stored, so it is never given another meaning; `about` says the
    kind, `words` the sentence, in which `{}` stands for the thing."""

    kind: Kind
    words: str

    def __new__(cls, word: str, kind: Kind, words: str) -> "Act":
        """One act of the vocabulary."""
        act = str.__new__(cls, word)
        act._value_ = word
        act.kind = kind
        act.words = words
        return act

    EDITION_UPLOADED = "edition_uploaded", Kind.RELEASES, "Uploaded files of {}"
    EDITION_DESCRIBED = "edition_described", Kind.RELEASES, "Changed the notes of {}"
    EDITION_TESTED = "edition_tested", Kind.RELEASES, "Sent a test of {}"
    EDITION_RELEASED = "edition_released", Kind.RELEASES, "Released {}"
    EDITION_TAKEN_BACK = "edition_taken_back", Kind.RELEASES, "Took back the release of {}"
    EDITION_PAUSED = "edition_paused", Kind.RELEASES, "Paused the letters of {}"
    EDITION_RESUMED = "edition_resumed", Kind.RELEASES, "Let the letters of {} go on"
    EDITION_RETRIED = "edition_retried", Kind.RELEASES, "Tried failed letters of {} again"
    EDITION_COUNTED = (
        "edition_counted",
        Kind.RELEASES,
        "Compared the counts of {} with every letter",
    )
    EDITION_RECALLED = "edition_recalled", Kind.RELEASES, "Recalled {}"
    EDITION_WITHDRAWN = "edition_withdrawn", Kind.RELEASES, "Withdrew {}"

    PUBLICATION_ADDED = "publication_added", Kind.CATALOGUE, "Added {}"
    PUBLICATION_CHANGED = "publication_changed", Kind.CATALOGUE, "Changed {}"
    PUBLICATION_LISTED = "publication_listed", Kind.CATALOGUE, "Put {} on sale"
    PUBLICATION_RETIRED = "publication_retired", Kind.CATALOGUE, "Took {} off sale"
    DATE_MOVED = "date_moved", Kind.CATALOGUE, "Moved the date of {}"
    DATE_TESTED = "date_tested", Kind.CATALOGUE, "Sent a test about the date of {}"
    DATE_PAUSED = "date_paused", Kind.CATALOGUE, "Paused the letters about the date of {}"
    DATE_RESUMED = "date_resumed", Kind.CATALOGUE, "Let the letters about the date of {} go on"
    DATE_RETRIED = "date_retried", Kind.CATALOGUE, "Tried failed letters about the date of {} again"
    COVER_CHANGED = "cover_changed", Kind.CATALOGUE, "Changed the cover of {}"
    SAMPLE_PUT = "sample_put", Kind.CATALOGUE, "Put a free sample beside {}"
    SAMPLE_REMOVED = "sample_removed", Kind.CATALOGUE, "Took the free sample of {} away"
    DISCOUNT_ADDED = "discount_added", Kind.CATALOGUE, "Added the discount {}"
    DISCOUNT_ENDED = "discount_ended", Kind.CATALOGUE, "Ended the discount {}"

    MONEY_REFUNDED = "money_refunded", Kind.MONEY, "Refunded {}"
    MONEY_NOTED = "money_noted", Kind.MONEY, "Noted money that came for {}"
    MONEY_EXPORTED = "money_exported", Kind.MONEY, "Took out the movements of money"
    MONEY_WITHOUT_ORDER = (
        "money_without_order",
        Kind.MONEY,
        "Looked after money for an order that a restore has lost",
    )
    MONEY_SENT_BACK = "money_sent_back", Kind.MONEY, "Sent money back for {}"
    DISPUTE_DRAFTED = "dispute_drafted", Kind.MONEY, "Edited the answer to {}"
    DISPUTE_GATHERED = "dispute_gathered", Kind.MONEY, "Gathered the answer to {} from the records"
    DISPUTE_ANSWERED = "dispute_answered", Kind.MONEY, "Submitted the answer to {}"

    COPY_GIVEN = "copy_given", Kind.CUSTOMERS, "Gave a copy: {}"
    COPY_TAKEN_BACK = "copy_taken_back", Kind.CUSTOMERS, "Took the copy back: {}"
    ORDER_RESENT = "order_resent", Kind.CUSTOMERS, "Sent the confirmation again: {}"
    ORDER_SETTLED = "order_settled", Kind.CUSTOMERS, "Decided whose {} is"
    LINKS_SENT = "links_sent", Kind.CUSTOMERS, "Sent all links to {}"
    LINKS_ENDED = "links_ended", Kind.CUSTOMERS, "Ended all links of {}"
    ADDRESS_CORRECTED = "address_corrected", Kind.CUSTOMERS, "Corrected the address of {}"
    SECOND_REMOVED = "second_removed", Kind.CUSTOMERS, "Took out the second address of {}"
    CUSTOMERS_MERGED = "customers_merged", Kind.CUSTOMERS, "Made one customer of two: {}"
    CUSTOMERS_PARTED = "customers_parted", Kind.CUSTOMERS, "Parted two customers again: {}"
    ERASURE_ASKED = "erasure_asked", Kind.CUSTOMERS, "Asked that {} be erased"
    ERASURE_STOPPED = "erasure_stopped", Kind.CUSTOMERS, "Stopped the erasure of {}"
    ERASURES_APPLIED = "erasures_applied", Kind.CUSTOMERS, "Applied the journal of erasures again"
    CUSTOMER_NOTED = "customer_noted", Kind.CUSTOMERS, "Noted something about {}"
    NOTE_REMOVED = "note_removed", Kind.CUSTOMERS, "Took out a note about {}"
    CUSTOMERS_LOOKED_AT = (
        "customers_looked_at",
        Kind.CUSTOMERS,
        "Looked at a file of customers for {}",
    )
    IMPORT_STOPPED = "import_stopped", Kind.CUSTOMERS, "Stopped bringing in customers of {}"
    CUSTOMERS_IMPORTED = "customers_imported", Kind.CUSTOMERS, "Brought in customers of {}"
    CUSTOMERS_EXPORTED = (
        "customers_exported",
        Kind.CUSTOMERS,
        "Took out the list of customers of {}",
    )
    DATA_COPIED = "data_copied", Kind.CUSTOMERS, "Took out a copy of all that is held about {}"
    LETTER_RETURNED = "letter_returned", Kind.CUSTOMERS, "Noted that {} came back"
    LETTER_RETRIED = "letter_retried", Kind.CUSTOMERS, "Sent {} again"
    LETTERS_LET_GO = "letters_let_go", Kind.CUSTOMERS, "Let letters leave after a restore"
    LETTERS_SENT_BEFORE = (
        "letters_sent_before",
        Kind.CUSTOMERS,
        "Said which letters had left before a restore",
    )
    ALL_LINKS_ENDED = "all_links_ended", Kind.CUSTOMERS, "Ended all links of everybody"
    STANDSTILL_SEEN = "standstill_seen", Kind.CUSTOMERS, "Had the mail server asked again"
    REPAIR_RESENT = "repair_resent", Kind.CUSTOMERS, "Said that the address of {} is right"
    REPAIR_SECOND = "repair_second", Kind.CUSTOMERS, "Wrote to the second address of {}"
    REPAIR_GIVEN_UP = "repair_given_up", Kind.CUSTOMERS, "Gave up the address of {}"

    SIGNED_IN = "signed_in", Kind.STAFF, "Signed in"
    SIGNED_OUT = "signed_out", Kind.STAFF, "Signed out"
    PASSWORD_CHANGED = "password_changed", Kind.STAFF, "Changed the password of {}"
    TWO_STEP_ON = "two_step_on", Kind.STAFF, "Turned on the second step of {}"
    TWO_STEP_OFF = "two_step_off", Kind.STAFF, "Turned off the second step of {}"
    CODES_MADE = "codes_made", Kind.STAFF, "Made new recovery codes for {}"
    STAFF_ADDED = "staff_added", Kind.STAFF, "Let {} into the desk"
    STAFF_RESET = "staff_reset", Kind.STAFF, "Gave {} a new password"
    STAFF_INVITED = "staff_invited", Kind.STAFF, "Invited {}"
    STAFF_JOINED = "staff_joined", Kind.STAFF, "Came in by the invitation"
    STAFF_REMINDED = "staff_reminded", Kind.STAFF, "Asked {} to turn on the second step"
    STAFF_RENAMED = "staff_renamed", Kind.STAFF, "Changed the name of {}"
    SHORTCUT_CHANGED = "shortcut_changed", Kind.STAFF, "Turned the key for the search on or off"
    ROLE_CHANGED = "role_changed", Kind.STAFF, "Changed what {} may do"
    STAFF_REMOVED = "staff_removed", Kind.STAFF, "Removed {} from the staff"
    TWO_STEP_RESET = "two_step_reset", Kind.STAFF, "Reset the second step of {}"
    TWO_STEP_DEMANDED = "two_step_demanded", Kind.STAFF, "Changed who must have a second step"
    SELLER_STATED = "seller_stated", Kind.STAFF, "Changed who sells"
    FACE_CHANGED = "face_changed", Kind.STAFF, "Changed how the house looks"
    STATEMENT_CHANGED = "statement_changed", Kind.STAFF, "Changed what the shop says for itself"
    CONNECTIONS_TRIED = "connections_tried", Kind.STAFF, "Tried the connections"
    TEST_MAILED = "test_mailed", Kind.STAFF, "Sent a test letter to {}"
    MAIL_TRIED = "mail_tried", Kind.STAFF, "Sent a test letter from the command line"
    KEY_RENEWED = "key_renewed", Kind.STAFF, "Encrypted second steps by the present key"
    BANK_CHANGED = "bank_changed", Kind.STAFF, "Changed where buyers send money"
    BACKUP_MADE = "backup_made", Kind.STAFF, "Made a backup of the shop"
    SHOP_RESTORED = "shop_restored", Kind.STAFF, "Made the shop again from a backup"
    FILES_PUT_BACK = "files_put_back", Kind.STAFF, "Put files back from a backup"
    DATABASE_UPGRADED = "database_upgraded", Kind.STAFF, "Brought the database up to date"


BY_WORD: dict[str, Act] = {act.value: act for act in Act}
