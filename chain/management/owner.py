"""What commands share whose act is the executor owner's: signed with a key from the environment, or shown as calldata
for a multisig.
"""

import os
from collections.abc import Mapping, Sequence

from django.core.management.base import CommandError, CommandParser
from eth_account import Account
from eth_utils.exceptions import ValidationError

from chain.lending import deployment
from chain.lending.encoding import Call
from chain.rpc.clients import get_client
from partner_platform.core.ethereum import parse_address
from partner_platform.core.management.output import JsonCommand

DEFAULT_KEY_VARIABLE = "EXECUTOR_OWNER_PRIVATE_KEY"


def add_owner_arguments(parser: CommandParser) -> None:
    """`--key-variable` and `--calldata`."""
    parser.add_argument(
        "--key-variable", default=DEFAULT_KEY_VARIABLE, help="environment variable with the owner's key"
    )
    parser.add_argument("--calldata", action="store_true", help="sign nothing: show what the owner is to sign")


def address_of(name: str, value: str) -> str:
    """A checksummed address; `CommandError` names the argument."""
    try:
        return parse_address(value)
    except ValueError as error:
        raise CommandError(f"{name}: {error}") from error


def owner_key(variable: str) -> str:
    """The owner's private key; `CommandError` where the variable holds none."""
    key = os.environ.get(variable, "")
    try:
        Account.from_key(key)
    except (ValueError, ValidationError) as error:
        raise CommandError(f"{variable} holds no private key") from error
    return key


def have_signed(command: JsonCommand, calls: Sequence[Call], options: Mapping[str, object]) -> bool:
    """Sign and send the calls and wait for them, or show them; True where they are on the chain now."""
    if not calls:
        return True
    if options["calldata"]:
        for call in calls:
            command.say(f"the owner signs: to {call.to} data {call.data}")
        return False
    deployment.send(client=get_client(), key=owner_key(str(options["key_variable"])), calls=calls)
    return True
