"""Parts that a library would load for itself, and we have no use for."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def not_loaded(name: str) -> Iterator[None]:
    """What is imported meanwhile does not find this module, which stays as it was for all others."""
    modules = cast(dict[str, Any], sys.modules)
    was_there, before = name in modules, modules.get(name)
    modules[name] = None  # which `import` takes for a module that there is not
    try:
        yield
    finally:
        del modules[name]
        if was_there:
            modules[name] = before
