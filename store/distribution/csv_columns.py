"""What the columns of a customers file mean: exports of shops that we know, and headings that must
not be ignored, because they bear on who has a right."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from store.kit.errors import Refusal
from store.kit.text import clean_line

Cells = Mapping[str, str]


class FileUnclear(Refusal):
    """A file that cannot be read without guessing; nothing of it is taken."""

    status = 422


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of file, by their bare headings (see `bare`): several for one
    meaning, the first that is filled in counts. `judge` says why a row gives no right, else
    nothing. Where an order has several lines, `carried` stand on its first alone."""

    shop: str = ""
    marks: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()
    email: tuple[str, ...] = ("email", "emailaddress", "mail", "buyeremail", "customeremail")
    gift: tuple[str, ...] = ()
    name: tuple[str, ...] = ("name", "fullname")
    # The two parts of a name, where it stands in two columns.
    first_name: tuple[str, ...] = ()
    last_name: tuple[str, ...] = ()
    item: tuple[str, ...] = ()
    ordered_on: tuple[str, ...] = ()
    is_utc: bool = False
    quantity: tuple[str, ...] = ()
    order: str = ""
    carried: tuple[str, ...] = ()
    judge: Callable[[Cells], str] = lambda _cells: ""

    @property
    def names(self) -> tuple[str, ...]:
        """Every column that a name may stand in."""
        return (*self.name, *self.first_name, *self.last_name)

    @property
    def used(self) -> set[str]:
        """Every heading that is read, or known to mean nothing for the right."""
        return {*self.known, *self.email, *self.item, *self.ordered_on, *self.names}


def bare(heading: str) -> str:
    """A heading without regard to capitals, blanks and signs."""
    plain = unicodedata.normalize("NFKC", clean_line(heading)).casefold()
    return "".join(letter for letter in plain if letter.isalnum())


def _bare_all(headings: str) -> frozenset[str]:
    return frozenset(bare(one) for one in headings.split(","))


def _is_yes(cells: Cells, heading: str) -> bool:
    text = cells.get(heading, "").strip().casefold()
    if text in {"1", "true", "yes"}:
        return True
    if text in {"", "0", "false", "no"}:
        return False
    raise ValueError(f"“{text[:50]}” says neither yes nor no")


def _amount(cells: Cells, heading: str) -> Decimal:
    text = cells.get(heading, "").replace(",", "").strip()
    try:
        return Decimal(text or "0")
    except InvalidOperation:
        raise ValueError(f"“{text[:50]}” is no amount") from None


def _gumroad(cells: Cells) -> str:
    # The whole is told apart from a part, of which the copy stays.
    refunded = "fullyrefunded" if "fullyrefunded" in cells else "refunded"
    if cells.get("purchaseid", "").casefold().startswith("totals"):
        return "a row of totals, and no purchase"
    if _is_yes(cells, refunded):
        return "refunded"
    if _is_yes(cells, "disputed") and not _is_yes(cells, "disputewon"):
        return "disputed"
    if _is_yes(cells, "accessrevoked"):
        return "access was revoked"
    if _is_yes(cells, "freetrialpurchase"):
        return "a free trial"
    if _is_yes(cells, "preorderauthorization"):
        return "a pre-order that was not charged"
    is_ended = cells.get("cancellationdate") or cells.get("subscriptionenddate")
    return "the subscription was ended" if is_ended else ""


def _shopify(cells: Cells) -> str:
    status = cells.get("financialstatus", "").strip().casefold()
    if cells.get("cancelledat", "").strip():
        return "cancelled"
    if status in {"paid", "partially_refunded"}:
        return ""
    return f"not paid: {status}" if status not in {"", "refunded"} else status or "no status"


def _stripe(cells: Cells) -> str:
    status = cells.get("status", "").strip().casefold()
    amount, back = _amount(cells, "amount"), _amount(cells, "amountrefunded")
    if status == "refunded" or 0 < amount <= back:
        return "refunded"
    if status not in {"paid", "partially refunded"}:
        return f"not paid: {status}" if status else "no status"
    if "captured" in cells and not _is_yes(cells, "captured"):
        return "not captured"
    if cells.get("mode", "").strip().casefold() == "test":
        return "a test payment"
    is_disputed = _amount(cells, "disputedamount") > 0 or cells.get("disputestatus", "").strip()
    is_won = cells.get("disputestatus", "").strip().casefold() == "won"
    return "disputed" if is_disputed and not is_won else ""


GUMROAD = Layout(
    shop="Gumroad",
    marks=_bare_all("Purchase ID,Item Name,Purchase Email"),
    known=_bare_all(
        "Purchase ID,Item Name,Buyer Name,Purchase Email,Buyer Email,Do not contact?,Purchase Date,"
        "Purchase Time (UTC timezone),Subtotal ($),Taxes ($),Tax Type,Shipping ($),Sale Price ($),"
        "Fees ($),Net Total ($),Tip ($),Tax Included in Price?,Street Address,City,Zip Code,State,"
        "Country,Referrer,Refunded?,Partial Refund ($),Fully Refunded?,Disputed?,Dispute Won?,"
        "Access Revoked?,Variants,Discount Code,Recurring Charge?,Free trial purchase?,"
        "Pre-order authorization?,Product ID,Order Number,"
        "Pre-order authorization time (UTC timezone),Custom Fields,Item Price ($),"
        "Variants Price ($),Giftee Email,SKU ID,Quantity,Recurrence,Affiliate,"
        "Affiliate commission ($),Discover?,Cancellation Date,Subscription End Date,Rating,Review,"
        "License Key,License Key Activation Count,License Key Enabled?,Payment Type,"
        "PayPal Transaction ID,PayPal Fee Amount,PayPal Fee Currency,Stripe Transaction ID,"
        "Stripe Fee Amount,Stripe Fee Currency,Purchasing Power Parity Discounted?,Upsold?,"
        "Sent Abandoned Cart Email?,UTM Source,UTM Medium,UTM Campaign,UTM Term,UTM Content,"
        "Buyer Currency,Buyer Total,Buyer Refunded Total"
    ),
    email=("purchaseemail", "buyeremail"),
    gift=("gifteeemail",),
    name=("buyername",),
    item=("itemname",),
    ordered_on=("purchasetimeutctimezone", "purchasedate"),
    is_utc=True,
    quantity=("quantity",),
    judge=_gumroad,
)
SHOPIFY = Layout(
    shop="Shopify",
    marks=_bare_all("Name,Email,Financial Status,Lineitem name"),
    known=_bare_all(
        "Name,Email,Financial Status,Paid at,Fulfillment Status,Fulfilled at,Accepts Marketing,"
        "Currency,Subtotal,Shipping,Taxes,Total,Discount Code,Discount Amount,Shipping Method,"
        "Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem compare at price,"
        "Lineitem sku,Lineitem requires shipping,Lineitem taxable,Lineitem fulfillment status,"
        "Billing Name,Billing Street,Billing Address1,Billing Address2,Billing Company,"
        "Billing City,Billing Zip,Billing Province,Billing Country,Billing Phone,Notes,"
        "Note Attributes,Cancelled at,Payment Method,Payment Reference,Refunded Amount,Vendor,"
        "Outstanding Balance,Employee,Location,Device ID,Id,Tags,Risk Level,Source,"
        "Lineitem discount,Phone,Receipt Number,Duties,Billing Province Name,"
        "Shipping Province Name,Payment ID,Payment Terms Name,Next Payment Due At,"
        "Payment References"
    ),
    email=("email",),
    name=("billingname",),
    item=("lineitemname",),
    ordered_on=("paidat", "createdat"),
    quantity=("lineitemquantity",),
    order="name",
    carried=("email", "billingname", "financialstatus", "cancelledat", "paidat", "createdat"),
    judge=_shopify,
)
STRIPE = Layout(
    shop="Stripe",
    marks=_bare_all("id,Amount,Amount Refunded,Currency,Status"),
    known=_bare_all(
        "id,Created date (UTC),Amount,Amount Refunded,Currency,Captured,Converted Amount,"
        "Converted Amount Refunded,Converted Currency,Fee,Is Link,Mode,Payment Source Type,Status,"
        "Description,Customer ID,Customer Email,Customer Description,Invoice ID,Transfer,"
        "Refunded date (UTC),Disputed Amount,Dispute Date (UTC),Dispute Evidence Due (UTC),"
        "Dispute Reason,Dispute Status,Statement Descriptor,Seller Message,Decline Reason,Taxes On Fee"
    ),
    email=("customeremail",),
    name=(),
    ordered_on=("createddateutc",),
    is_utc=True,
    judge=_stripe,
)
OURS = Layout(
    shop="our own",
    marks=_bare_all("email,since,order,price,currency"),
    known=_bare_all("email,name,since,order,price,currency"),
    ordered_on=("since",),
)
LAYOUTS = (GUMROAD, SHOPIFY, STRIPE, OURS)


def _bare_list(headings: str) -> tuple[str, ...]:
    return tuple(bare(one) for one in headings.split(","))


# A list of any other origin, as people head its columns in English, German, French, Spanish, Italian.
PLAIN = Layout(
    email=(
        *Layout().email,
        *_bare_list(
            "E-Mail-Adresse,Mailadresse,E-Mail Anschrift,Adresse e-mail,Adresse mail,"
            "Adresse électronique,Courriel,Correo,Correo electrónico,Dirección de correo electrónico,"
            "Dirección de email,Indirizzo e-mail,Indirizzo di posta elettronica,Posta elettronica,"
            "Email (Billing),billing_email"
        ),
    ),
    name=(
        *Layout().name,
        *_bare_list("Vollständiger Name,Nom complet,Nom et prénom,Nombre completo"),
        *_bare_list("Nombre y apellidos,Nome completo,Nome e cognome"),
    ),
    first_name=_bare_list(
        "First name,Given name,Forename,Vorname,Prénom,Prenom,Nombre,Nome,"
        "First Name (Billing),billing_first_name"
    ),
    last_name=_bare_list(
        "Last name,Surname,Family name,Nachname,Familienname,Nom,Nom de famille,Apellido,Apellidos,"
        "Cognome,Last Name (Billing),billing_last_name"
    ),
)

# Recognised and never taken: what is missing stands in no column.
_NO_ADDRESS = (
    "This is the orders list of WooCommerce Analytics. It has no column with e-mail addresses "
    "(“Customer” is a name), so nobody can be brought in from it. Exports by an order export "
    "add-on do: their column is called “billing_email” or “Email (Billing)”."
)
_NO_PURCHASE = (
    "This is the customers list of WooCommerce Analytics. It does not say who bought what: "
    "“Orders” counts all of them. Take the orders from an order export add-on instead."
)
_NEVER = (
    (_bare_all("Order #,Status,Customer,Product(s),Items sold"), _NO_ADDRESS),
    (_bare_all("Name,Username,Last Active,Sign Up,Email,Orders,Total Spend"), _NO_PURCHASE),
)

# Words in a heading that speaks of status, refunds, disputes, dates or quantity.
_TELLING_WORDS = """
    status state refund refunds refunded dispute disputes disputed chargeback chargebacks cancel
    canceled cancelled cancellation void voided revoked failed captured paid unpaid date dates
    datetime time timestamp day at on since until when expires expired expiry end ends ended trial
    subscription quantity qty seats copies units sold mode test active signup created updated
    ordered bought purchased returned reversed pledged sent authorized authorised authorization
    transactiontype
    zustand erstattet erstattung storniert storno gekuendigt gekundigt bezahlt datum bestelldatum
    kaufdatum bestellt gekauft menge anzahl
    statut etat rembourse remboursee remboursement annule annulee paye payee commande achete
    quantite
    estado reembolsado reembolso cancelado anulado pagado fecha pedido comprado cantidad
    stato rimborsato rimborso annullato pagato data ordinato acquistato quantita
"""
_TELLING = frozenset(_TELLING_WORDS.split())
# And of one that says what was bought.
_BOUGHT_WORDS = """
    item items product products lineitem lineitems reward rewards sku skus publication
    produkt produkte artikel titel produit produits article articles producto productos articulo
    articulos prodotto prodotti articolo articoli
"""
_BOUGHT = frozenset(_BOUGHT_WORDS.split())
# Beside which a state is one of an address.
_PLACE_WORDS = """
    city town zip zipcode postcode postalcode county stadt ort plz postleitzahl ville codepostal
    ciudad codigopostal citta cap
"""
_PLACES = frozenset(_PLACE_WORDS.split())
_STATES = ("state", "estado", "stato", "etat", "état")


def layout_of(heading: Sequence[str], columns: Mapping[str, str]) -> Layout:
    """How to read a file with this heading. `columns` are the reader's own choices: a meaning
    (email, name, item, ordered_on) → heading.

    Refuses (`FileUnclear`) a file that never says whom to write to, and one with a column that
    bears on the right and is not understood, by its name.
    """
    found = {bare(cell): clean_line(cell) for cell in heading}
    for marks, sentence in _NEVER:
        if marks <= found.keys():
            raise FileUnclear(sentence)
    layout = known_layout(heading)
    chosen = {meaning: (bare(text),) if text else () for meaning, text in columns.items()}
    # Who names the column of the addresses means it, whatever a shop's gifts are.
    more: dict[str, tuple[str, ...]] = {"gift": ()} if "email" in chosen else {}
    if "name" in chosen and "first_name" not in chosen:
        more |= {"first_name": (), "last_name": ()}
    layout = replace(layout, **chosen, **more)  # type: ignore[arg-type]
    _refuse_unknown(layout, found)
    return layout


def known_layout(heading: Sequence[str]) -> Layout:
    """That of the shop whose marks a heading has, else what common headings mean."""
    found = {bare(cell) for cell in heading}
    return next((one for one in LAYOUTS if one.marks <= found), _in_parts(PLAIN, found))


def _in_parts(layout: Layout, found: Collection[str]) -> Layout:
    """“Name” beside a first name is the last one, and of something else beside both."""
    has_first = any(one in found for one in layout.first_name)
    if has_first and any(one in found for one in layout.last_name):
        return replace(layout, name=tuple(one for one in layout.name if one != "name"))
    if not has_first or any(one in found for one in layout.last_name) or "name" not in found:
        return layout
    return replace(layout, name=(), last_name=("name",))


def is_heading(heading: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether a line may be a heading: it has a column of addresses, or marks of a shop."""
    found = {bare(cell) for cell in heading}
    marks = [one.marks for one in LAYOUTS] + [marks for marks, _ in _NEVER]
    has_address = any("mail" in one or one in wanted for one in found)
    return has_address or any(one <= found for one in marks)


def _refuse_unknown(layout: Layout, found: Mapping[str, str]) -> None:
    unknown = {one: shown for one, shown in found.items() if one not in layout.used}
    if _PLACES & {_plain(one) for one in found}:
        for one in _STATES:
            unknown.pop(one, None)
    telling = [
        shown
        for one, shown in unknown.items()
        if _plain(one) in _TELLING or _TELLING & _words(shown)
    ]
    if telling:
        what = f"a file of {layout.shop}" if layout.shop else "this file"
        raise FileUnclear(
            f"{_named(telling)} something that bears on who has a right, and we do not know what "
            f"it means in {what}. Keep only the rows of people who are to have a copy, and take "
            "the column out of the file. Where it holds the day of the order, say so instead."
        )
    bought = [shown for shown in unknown.values() if _BOUGHT & _words(shown)]
    if bought and not layout.item:
        raise FileUnclear(
            f"{_named(bought)} what was bought. Say that it is the product, so that rows of "
            "other products are left out; or keep the rows of this publication alone and take the "
            "column out of the file."
        )


def _named(headings: list[str]) -> str:
    names = [f"“{one[:60]}”" for one in headings]
    if len(names) == 1:
        return f"The column {names[0]} says"
    return f"The columns {', '.join(names[:-1])} and {names[-1]} say"


def _words(heading: str) -> set[str]:
    """Each word in a heading: paid and date in `paid_date`, `Paid date` and `PaidDate` alike."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", heading)
    return set(re.split(r"[^a-z0-9]+", _plain(apart)))


def _plain(text: str) -> str:
    """Without accents, in small letters."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
