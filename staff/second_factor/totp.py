"""Time-based one-time passwords (RFC 6238): six digits, 30 seconds, one step of leeway to each side."""

import hmac
import io

import pyotp
import qrcode
from django.contrib.auth.models import User
from qrcode.image.svg import SvgPathImage

from partner_platform.core import clock
from partner_platform.core.secrets import crypto
from staff.models import TotpDevice

ISSUER = "Partner Platform"
PERIOD = 30  # seconds
DIGITS = 6
LEEWAY = 1  # steps


def new_totp_secret() -> str:
    """160 random bits in base32, as authenticator apps read them."""
    return pyotp.random_base32()


def enrolment_address(user: User, secret: str) -> str:
    """The `otpauth://` address that an authenticator app reads."""
    return pyotp.TOTP(secret).provisioning_uri(name=user.get_username(), issuer_name=ISSUER)


def qr_code(address: str) -> str:
    """The address as an SVG picture, to be placed into a page."""
    picture = io.BytesIO()
    qrcode.make(address, image_factory=SvgPathImage, box_size=14).save(picture)
    return picture.getvalue().decode().partition("?>")[2]


def matching_step(secret: str, code: str) -> int | None:
    """The time step whose code this is; None where it is no code of now or of the step before or after."""
    if len(code) != DIGITS or not (code.isascii() and code.isdecimal()):
        return None
    totp, now = pyotp.TOTP(secret), int(clock.now().timestamp()) // PERIOD
    for step in range(now - LEEWAY, now + LEEWAY + 1):
        if hmac.compare_digest(totp.generate_otp(step), code):
            return step
    return None


def use_totp_code(user: User, code: str) -> bool:
    """Take the code of a time step later than every one that was taken. One guarded update: of two callers at the same
    moment one is refused.
    """
    device = TotpDevice.objects.filter(user=user).first()
    if device is None:
        return False
    step = matching_step(crypto.decrypt(device.secret), code)
    if step is None:
        return False
    free = TotpDevice.objects.filter(pk=device.pk, last_step__lt=step)
    return free.update(last_step=step, last_used_at=clock.now()) == 1
