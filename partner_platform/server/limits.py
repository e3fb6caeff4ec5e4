"""How much and how long the server takes in, before anybody knows who is calling. Bytes and seconds."""

from partner_platform.core.web.middleware import MAX_BODY_BYTES

MAX_LINE_BYTES = 8 * 1024  # method, path and query: 414
MAX_HEAD_BYTES = 16 * 1024  # the line and all headers: 431
MAX_CHUNKED_BYTES = 2 * MAX_BODY_BYTES  # a chunked body as it comes, with the sizes of its chunks

REQUEST_SECONDS = 20  # from the first byte of a request, or from the connection, to the request's last byte: 408
KEEP_ALIVE_SECONDS = 75  # between two requests; longer than the 60 s for which nginx keeps a connection to us
STALLED_SECONDS = 60  # without the caller taking a byte of its answer
LINGER_SECONDS = 2  # for a refused caller to read its answer, while what it still sends is thrown away
LINGER_BYTES = 1024 * 1024

CONNECTIONS = 1000  # of one process; for one more, those that have waited longest for their request are closed
BACKLOG = 1024
