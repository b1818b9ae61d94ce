"""What the system refuses of a file or folder, PostgreSQL at its door, or SQLite of a file that is none of
its own any more."""

import errno
import os
import pwd
import sqlite3

# Mostly the rights of a folder, or a disk that is not there: nothing of them is a fault of the program.
_OF_A_PLACE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENODEV,
    errno.ESTALE,
    errno.EIO,
}


def refused_place(fault: BaseException) -> str:
    """The sentence about a file or folder that cannot be had; empty where the fault is another."""
    if not isinstance(fault, OSError) or fault.errno not in _OF_A_PLACE or not fault.filename:
        return ""
    words = f"{os.fsdecode(fault.filename)}: {os.strerror(fault.errno)}."
    if fault.errno in (errno.EACCES, errno.EPERM):
        words += (
            f" This runs as {user()}: let {user()} read and write there, or name another place."
        )
    return words


def refused_database(fault: BaseException) -> str:
    """The sentence about PostgreSQL that is not there, or does not let us in; empty where the fault is
    another."""
    own = getattr(fault, "orig", None) or fault
    # The driver is the extra `postgresql`, and may not be there.
    of_driver = type(own).__module__.startswith("psycopg") and hasattr(own, "sqlstate")
    if not of_driver or "OperationalError" not in {one.__name__ for one in type(own).__mro__}:
        return ""
    said = next(iter(str(own).splitlines()), type(own).__name__).rstrip(".")
    return (
        f"The database does not let us in: {said}. Look at STORE_DATABASE_URL, and whether it runs."
    )


def is_damaged(fault: BaseException) -> bool:
    """Whether SQLite finds that a file is no database, or not whole."""
    own = getattr(fault, "orig", None) or fault
    code = getattr(own, "sqlite_errorcode", 0) if isinstance(own, sqlite3.Error) else 0
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def user() -> str:
    """Who this process runs as, by name where it has one."""
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
