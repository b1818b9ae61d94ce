"""Signing in to a mail server (RFC 4954)."""

import smtplib
from base64 import b64encode


def sign_in(host: smtplib.SMTP, username: str, password: str) -> None:
    """As smtplib does, and beyond ASCII in UTF-8 (RFC 4616; LOGIN has no word of its own)."""
    if (username + password).isascii():
        host.login(username, password)
        return
    offered = host.esmtp_features.get("auth", "").upper().split()
    if "PLAIN" in offered:
        both = _base64("\0".join(["", username, password]))
        code, said = host.docmd("AUTH", f"PLAIN {both}")
    elif "LOGIN" in offered:
        code, said = host.docmd("AUTH", f"LOGIN {_base64(username)}")
        if code == 334:
            code, said = host.docmd(_base64(password))
    else:
        raise smtplib.SMTPNotSupportedError(
            "STORE_MAIL_USERNAME or STORE_MAIL_PASSWORD has letters beyond ASCII, and the server"
            " offers neither PLAIN nor LOGIN"
        )
    if code != 235:
        raise smtplib.SMTPAuthenticationError(code, said)


def _base64(text: str) -> str:
    return b64encode(text.encode()).decode()
