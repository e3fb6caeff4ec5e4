"""Sign-In with Ethereum (EIP-4361): the message, its nonce, the wallet, and the second factor beside it."""

import datetime as dt
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from eth_account import Account
from eth_account.messages import encode_defunct

from audit.models import AuditEntry
from authority.acting import Staff, staff_of
from partner_platform.core import clock
from partner_platform.core.errors import BadRequest, Forbidden
from sandbox.keys import key_pair
from staff.access import nonces, siwe
from staff.access.wallets import link_wallet, unlink_wallet
from staff.models import ApiSession, StaffWallet, UsedNonce
from tests.core.concurrency import at_once
from tests.support.acting import staff
from tests.support.signing_in import ADDRESS, member, outcome, post, tokens_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("counts")]

DOMAIN = "admin.example.com"
WALLET, OTHER = key_pair("admin"), key_pair("user-1")
WRONG = (401, "invalid_credentials")
SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Message:
    """A message that is good but for what a test changes."""

    nonce: str
    domain: str = DOMAIN
    address: str = WALLET.address
    statement: str | None = "Sign in to the staff API."
    uri: str = f"https://{DOMAIN}/auth/siwe/verify"
    version: str = "1"
    chain_id: str = ""
    issued: dt.timedelta = dt.timedelta()
    more: str = ""

    def text(self, chain_id: int) -> str:
        statement = "" if self.statement is None else f"{self.statement}\n"
        issued_at = clock.isoformat(clock.now() + self.issued)
        return (
            f"{self.domain} wants you to sign in with your Ethereum account:\n{self.address}\n\n{statement}\n"
            f"URI: {self.uri}\nVersion: {self.version}\nChain ID: {self.chain_id or chain_id}\n"
            f"Nonce: {self.nonce}\nIssued At: {issued_at}{self.more}"
        )


@pytest.fixture
def chain_id(settings: Any) -> int:
    settings.STAFF_SIGN_IN_DOMAINS = [DOMAIN]
    return int(settings.CHAIN_ID)


@pytest.fixture
def wallet(ann: User, chain_id: int) -> StaffWallet:
    return link_wallet(user=ann, address=WALLET.address, actor="system:test")


def good() -> Message:
    return Message(nonce=post("/auth/siwe/nonce").json()["nonce"])


def verify(text: str, *, key: str = WALLET.private_key, **more: Any) -> Any:
    signature = Account.sign_message(encode_defunct(text=text), key).signature
    return post("/auth/siwe/verify", {"message": text, "signature": "0x" + signature.hex(), **more})


def test_a_signed_message_of_a_linked_wallet_signs_its_user_in_once(ann: User, wallet: Any, chain_id: int) -> None:
    text = good().text(chain_id)
    answer = verify(text)
    assert (answer.status_code, sorted(answer.json())) == (200, ["access", "refresh"])
    session = ApiSession.objects.get()
    assert (session.user, session.means) == (ann, "wallet")
    entry = AuditEntry.objects.get(action="staff.signed_in")
    assert (entry.actor, entry.target, entry.after["means"]) == ("staff:ann", "staff:ann", "wallet")

    again = verify(text)
    assert (outcome(again), again.json()["details"]) == (WRONG, {"message": ["Its nonce was used before."]})
    assert ApiSession.objects.count() == 1
    failure = AuditEntry.objects.get(action="staff.sign_in_failed")
    assert failure.after == {"door": "api", "means": "wallet", "reason": "nonce used before", "address": ADDRESS}


def test_the_lines_that_may_be_there_may_be_there(wallet: Any, chain_id: int) -> None:
    now = clock.now()
    more = (
        f"\nExpiration Time: {clock.isoformat(now + MINUTE)}\nNot Before: {clock.isoformat(now - MINUTE)}"
        "\nRequest ID: 4711\nResources:\n- https://admin.example.com/a\n- ipfs://b"
    )
    assert verify(replace(good(), statement=None, more=more).text(chain_id)).status_code == 200
    message = replace(good(), domain=f"https://{DOMAIN}")
    assert verify(message.text(chain_id)).status_code == 200


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another domain": ({"domain": "evil.example", "uri": "https://evil.example/"}, "Its domain is not ours."),
    "a domain that ours begins": (
        {"domain": f"{DOMAIN}.evil.example", "uri": f"https://{DOMAIN}.evil.example/"},
        "Its domain is not ours.",
    ),
    "our domain as somebody's user": (
        {"domain": f"{DOMAIN}@evil.example", "uri": f"https://{DOMAIN}@evil.example/"},
        "Its domain is not ours.",
    ),
    "another scheme": ({"domain": f"ftp://{DOMAIN}"}, "Its domain is not ours."),
    "another URI": ({"uri": "https://evil.example/auth"}, "Its URI is not of its domain."),
    "a URI that ours begins": ({"uri": f"https://{DOMAIN}:1/"}, "Its URI is not of its domain."),
    "a URI with a user": ({"uri": f"https://{DOMAIN}@evil.example/"}, "Its URI is not of its domain."),
    "a URI that is none": ({"uri": "https://[x/"}, "Its URI is not of its domain."),
    "version 2": ({"version": "2"}, "Its version is not 1."),
    "another chain": ({"chain_id": "1"}, ""),
    "a nonce of its own": ({"nonce": "a" * 56}, "Its nonce is not ours, or older than ten minutes."),
    "issued long ago": ({"issued": -12 * MINUTE}, "It was not issued within the last ten minutes."),
    "issued later": ({"issued": 2 * MINUTE}, "It was not issued within the last ten minutes."),
    "expired": ({"more": "\nExpiration Time: 2026-01-05T10:30:00+02:00"}, "It has expired."),
    "not valid yet": ({"more": "\nNot Before: 2999-01-05T10:30:00.5Z"}, "It is not valid yet."),
}


@pytest.mark.parametrize("name", BAD)
def test_a_message_for_elsewhere_or_another_time_signs_nobody_in_and_says_why(
    wallet: Any, chain_id: int, name: str
) -> None:
    changed, problem = BAD[name]
    message = good()
    text = replace(message, **changed).text(chain_id)
    answer = verify(text)
    assert (outcome(answer), answer.json()["details"]) == (
        WRONG,
        {"message": [problem or f"Its chain id is not {chain_id}."]},
    )
    assert not ApiSession.objects.exists()
    failure = AuditEntry.objects.get(action="staff.sign_in_failed")
    assert failure.target == f"staff:{WALLET.address.lower()}"
    assert failure.after["reason"] == "message not for here and now"
    assert verify(message.text(chain_id)).status_code == 200  # the control, and its nonce was not used up


def test_without_a_domain_of_ours_no_message_is_for_us(wallet: Any, chain_id: int, settings: Any) -> None:
    settings.STAFF_SIGN_IN_DOMAINS = []
    assert outcome(verify(good().text(chain_id))) == WRONG


def test_live_a_uri_needs_tls(wallet: Any, chain_id: int, settings: Any) -> None:
    message = replace(good(), uri=f"http://{DOMAIN}/")
    settings.IS_SANDBOX = False
    assert verify(message.text(chain_id)).json()["details"] == {"message": ["Its URI is not of its domain."]}
    settings.IS_SANDBOX = True
    assert verify(message.text(chain_id)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n\nURI", "\nURI"),
        lambda text: text.replace("Version: 1\n", ""),
        lambda text: text.replace("Nonce: ", "Nonce:  "),
        lambda text: text.replace("Chain ID: ", "Chain ID: \u0661"),
        lambda text: text.replace("Ethereum", "ethereum"),
        lambda text: text.replace(WALLET.address, WALLET.address.lower()),
        lambda text: text.replace(WALLET.address, "0x" + WALLET.address[2:].swapcase()),
        lambda text: text + "\nNot Before: 0001-01-01T00:00:00+23:59",
        lambda text: text + "\nExpiration Time: 2026-13-05T10:30:00Z",
        lambda text: text + "\nNot Before: 2026-01-05T10:30:00Z\nExpiration Time: 2999-01-05T10:30:00Z",
        lambda text: text.replace("staff API.", "staff API.\nURI: https://a.example"),
        lambda text: "x" + text.replace(" wants", "/ wants"),
        lambda text: "",
        lambda text: text + "\nRequest ID: " + "x" * 4_000,
    ],
)
def test_a_message_that_is_not_of_the_form_is_a_bad_request_and_no_failure(
    wallet: Any, chain_id: int, change: Any
) -> None:
    answer = verify(change(good().text(chain_id)))
    assert (answer.status_code, list(answer.json()["details"])) == (400, ["message"])
    assert not ApiSession.objects.exists()


@pytest.mark.parametrize("noise", ["\n", " ", "x", "\x00", "\u00e9", "\nURI: x:", "://"])
def test_whatever_is_put_into_a_message_its_address_stays_the_one_that_is_read(noise: str) -> None:
    text = Message(nonce="a" * 8).text(1)
    for place in range(len(text) + 1):
        try:
            found = siwe.parse_message(text[:place] + noise + text[place:])
        except ValueError:
            continue
        assert found.address == WALLET.address


def test_only_the_key_of_the_messages_address_signs_and_only_a_linked_wallet_has_a_user(
    wallet: Any, chain_id: int
) -> None:
    message = good()
    assert outcome(verify(message.text(chain_id), key=OTHER.private_key)) == WRONG
    stranger = verify(replace(message, address=OTHER.address).text(chain_id), key=OTHER.private_key)
    assert (outcome(stranger), stranger.json()["details"]) == (WRONG, {})
    for signature in ("0x00", "0x" + "00" * 65, "0x" + "ff" * 65):
        answer = post("/auth/siwe/verify", {"message": message.text(chain_id), "signature": signature})
        assert outcome(answer) == WRONG
    assert not ApiSession.objects.exists()
    assert not UsedNonce.objects.exists()
    assert verify(message.text(chain_id)).status_code == 200


@pytest.mark.parametrize("columns", [{"is_active": False}, {"is_staff": False}])
def test_the_wallet_of_an_account_that_may_not_sign_in_does_not_either(
    wallet: Any, chain_id: int, columns: dict[str, bool]
) -> None:
    User.objects.update(**columns)
    assert outcome(verify(good().text(chain_id))) == WRONG
    assert not ApiSession.objects.exists()


def test_a_wallet_does_not_replace_the_second_factor(wallet: Any, chain_id: int, codes: list[str]) -> None:
    text = good().text(chain_id)
    assert outcome(verify(text)) == (401, "second_factor_required")
    assert not UsedNonce.objects.exists()  # the same message may come again with the code
    assert verify(text, otp=codes[0]).status_code == 200
    assert ApiSession.objects.get().with_factor is True


def test_a_message_that_came_with_a_wrong_code_is_used_up(wallet: Any, chain_id: int, codes: list[str]) -> None:
    text = good().text(chain_id)
    assert outcome(verify(text, otp="000000")) == WRONG
    assert outcome(verify(text, otp=codes[0])) == WRONG
    assert (len(codes), ApiSession.objects.count()) == (1, 0)


def test_where_a_second_factor_is_required_a_wallet_alone_is_not_enough(
    wallet: Any, chain_id: int, settings: Any
) -> None:
    settings.STAFF_SECOND_FACTOR = "required"
    assert outcome(verify(good().text(chain_id))) == (401, "second_factor_required")
    assert not ApiSession.objects.exists()


def test_a_nonce_is_ours_for_ten_minutes_and_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = good().nonce
    assert nonces.is_valid_nonce(nonce)
    assert not UsedNonce.objects.exists()
    assert nonces.new_sign_in_nonce() != nonce
    flipped = nonce[:-1] + ("0" if nonce[-1] != "0" else "1")
    forged = f"{int(nonce[:8], 16) + 1:08x}{nonce[8:]}"
    assert not any(nonces.is_valid_nonce(other) for other in (flipped, forged, nonce.upper(), nonce + "0", ""))
    now = clock.now()
    for by, is_valid in ((599 * SECOND, True), (602 * SECOND, False), (-4 * SECOND, True), (-7 * SECOND, False)):
        moment = now + by
        monkeypatch.setattr("partner_platform.core.clock.now", lambda moment=moment: moment)
        assert nonces.is_valid_nonce(nonce) is is_valid


@pytest.mark.django_db(transaction=True)
def test_of_two_calls_with_one_message_at_the_same_moment_one_signs_in(wallet: Any, chain_id: int) -> None:
    text = good().text(chain_id)
    answers = at_once(4, lambda _: verify(text).status_code)
    assert sorted(answers) == [200, 401, 401, 401]
    assert ApiSession.objects.count() == 1


def test_only_a_superuser_links_a_wallet_and_it_is_recorded(ann: User) -> None:
    eve = User.objects.create_superuser("eve", password="x")
    for actor in (staff_of(ann), staff("bob")):  # bob has every right, and is no superuser
        with pytest.raises(Forbidden):
            link_wallet(user=ann, address=WALLET.address, actor=actor)
    assert not StaffWallet.objects.exists()
    wallet = link_wallet(user=ann, address=WALLET.address.lower(), actor=staff_of(eve))
    assert (wallet.address, wallet.linked_by) == (WALLET.address, "staff:eve")
    with pytest.raises(Forbidden):
        unlink_wallet(wallet=wallet, actor=staff("bob"))
    tokens_of(ann)
    unlink_wallet(wallet=wallet, actor=staff_of(eve))
    assert not StaffWallet.objects.exists()
    assert ApiSession.objects.get().ended_because == "wallet unlinked"  # whoever had the wallet may have opened it
    found = [
        (e.actor, e.action, e.target, e.before, e.after) for e in AuditEntry.objects.filter(action__contains="wallet")
    ]
    found.sort(key=lambda entry: entry[1])
    address = {"wallet": WALLET.address}
    assert found == [
        ("staff:eve", "staff.wallet_linked", "staff:ann", None, address),
        ("staff:eve", "staff.wallet_unlinked", "staff:ann", address, None),
    ]


@pytest.mark.django_db(transaction=True)
def test_an_address_belongs_to_one_user(ann: User) -> None:
    link_wallet(user=ann, address=WALLET.address, actor="system:test")
    for address in (WALLET.address, "0x1"):
        with pytest.raises(BadRequest) as refused:
            link_wallet(user=member("bob"), address=address, actor="system:test")
        assert list(refused.value.details) == ["address"]
        User.objects.get(username="bob").delete()
    with pytest.raises(TypeError):
        link_wallet(user=ann, address=OTHER.address, actor="staff:ann")
    assert not isinstance("system:test", Staff)
    assert StaffWallet.objects.count() == 1
