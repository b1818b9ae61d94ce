"""A name server on loopback: it knows the names that a test gives it, and nothing else."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

# Name and type, and what stands there: `{"press.example TXT": ["v=spf1 -all"]}`.
Zone = Mapping[str, list[str]]


@contextmanager
def name_server(zone: Zone, *, is_silent: bool = False) -> Iterator[str]:
    """Its address, as `store check --resolver` takes it; a silent one never answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind(("127.0.0.1", 0))
        host, port = line.getsockname()
        thread = threading.Thread(target=_answer_all, args=(line, zone, is_silent), daemon=True)
        thread.start()
        yield f"{host}:{port}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (host, port))
        thread.join(10)
        assert not thread.is_alive()


def _answer_all(line: socket.socket, zone: Zone, is_silent: bool) -> None:
    while True:
        octets, who = line.recvfrom(4096)
        if not octets:
            return
        if not is_silent:
            line.sendto(_answer(dns.message.from_wire(octets), zone).to_wire(), who)


def _answer(asked: dns.message.Message, zone: Zone) -> dns.message.Message:
    answer = dns.message.make_response(asked)
    answer.flags |= dns.flags.RA
    question = asked.question[0]
    name, kind = question.name.to_text(omit_final_dot=True), question.rdtype.name
    found = zone.get(f"{name} {kind}", [])
    if found:
        written = [f'"{text}"' for text in found] if kind == "TXT" else found
        answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *written))
    elif not any(f".{key}".partition(" ")[0].endswith(f".{name}") for key in zone):
        answer.set_rcode(dns.rcode.NXDOMAIN)
    return answer
