"""The shop for any server or host that knows WSGI: `gunicorn -c gunicorn.conf.py wsgi:app`, or
`flask --app wsgi run`. Settings come from `STORE_*` variables; faults are said and end with 1."""

from store.commands.base import the_shop
from store.kit import logs

logs.log_to_stderr()
app = the_shop()
