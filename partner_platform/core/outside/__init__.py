"""The one client for URLs that somebody else gave us (webhooks). Nothing else in the project may request such a URL.

A partner chooses the URL, so it may point at our own network, may change where it points, and its server may send
anything, or nothing. The rules, each with its module:

1. Form (`urls`): https; no user name, no fragment, printable ASCII; a host is a name with a domain, or an address in
   its one plain notation. `check_url` checks it when a URL is registered, and the client again before each request.
2. Address (`addresses`, `resolving`): the host is looked up once for each connection, and every address of the answer
   must be public. One that is not refuses the host: an answer that mixes public and private addresses is an attack or a
   mistake, and using only a part of it would make the result depend on the order of the answer.
3. The socket connects to an address of that answer (`sockets`, `connections`). There is no second look-up, so that DNS
   that changes its answer changes nothing. The certificate is verified against the host's name.
4. No redirects: a 3xx is a response like any other. No proxies, cookies or credentials from the environment.
5. Limits (`sockets.Allowance`): 15 seconds for everything from the look-up to the last byte, however slowly bytes come;
   64 KiB of body, 32 KiB of head. Nothing is decompressed.
6. Connections are kept for the next request to the same origin (`pool`), for seconds, and in a bounded number.

Plain http, and addresses that are not public, are taken only inside `WEBHOOK_ALLOWED_NETWORKS`: empty everywhere but in
the local sandbox, and a live platform does not start otherwise (`core.live`).

What breaks if a rule is dropped: a partner reads our cloud's credentials or drives our Redis (2, 3, 4), or one
receiver holds a sender's thread or memory for as long as it likes (5).
"""

from partner_platform.core.outside.client import OutsideClient, Response
from partner_platform.core.outside.errors import Kind, OutsideError, UnsafeUrl
from partner_platform.core.outside.urls import check_url

__all__ = ["Kind", "OutsideClient", "OutsideError", "Response", "UnsafeUrl", "check_url"]
