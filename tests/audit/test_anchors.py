"""The head of the trail on the real chain: what was anchored cannot be rewritten or cut off unseen."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import QuerySet

from audit.models import AuditBlock, AuditEntry
from audit.services import digest_of_entry
from audit.trail import sealing
from audit.trail.canonical import entry_mac
from audit.trail.keys import signing_key
from audit.trail.verification import verify_trail
from chain import anchoring, selectors
from chain.lending import deployment
from chain.models import Operation, OperationState
from chain.rpc.clients import get_client
from chain.settlement import driver
from partner_platform.core import clock
from sandbox.keys import key_pair
from tests.audit.conftest import forget_in_redis
from tests.support.acting import staff
from tests.support.chain import Chain

pytestmark = pytest.mark.django_db(transaction=True)

Write = Callable[[int], list[AuditEntry]]


def settle(chain: Chain) -> None:
    live = True
    while live:
        driver.drive_once()
        chain.mine()
        live = driver.drive_once().live


def anchored(chain: Chain, write: Write, entries: int = 3) -> Operation:
    write(entries)
    sealing.seal_due()
    operation = anchoring.anchor_due()
    assert operation is not None
    settle(chain)
    return operation


def texts() -> list[tuple[str, str]]:
    return [(finding.kind, finding.text) for finding in verify_trail().findings]


def test_the_head_stands_on_the_chain_under_the_executors_name(chain: Chain, write: Write) -> None:
    operation = anchored(chain, write)
    operation.refresh_from_db()
    assert (operation.kind, operation.state) == ("anchor", OperationState.CONFIRMED)
    (anchor,) = anchoring.read_anchors() or []
    assert (anchor.sequence, anchor.head) == (3, AuditBlock.objects.get().hash)
    result = verify_trail()
    assert (result.findings, result.anchors) == ([], 1)
    call_command("verify_audit")


def test_it_is_anchored_once_a_day(chain: Chain, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    anchored(chain, write)
    write(2)
    sealing.seal_due()
    assert anchoring.anchor_due() is None
    tomorrow = clock.now() + dt.timedelta(days=1)
    monkeypatch.setattr(clock, "now", lambda: tomorrow)
    assert anchoring.anchor_due() is not None
    assert anchoring.anchor_due() is None
    settle(chain)
    assert len(anchoring.read_anchors() or []) == 2
    assert Operation.objects.filter(kind="anchor").count() == 2


def test_the_request_and_its_outcome_are_in_the_trail(chain: Chain, write: Write) -> None:
    operation = anchored(chain, write)
    anchoring.anchor_due()
    anchoring.anchor_due()
    operation.refresh_from_db()
    entries: dict[str, Any] = {
        entry.action: entry for entry in AuditEntry.objects.filter(target=f"operation:{operation.pk}")
    }
    assert set(entries) == {"audit.anchor_requested", "audit.anchored"}
    assert entries["audit.anchored"].after["transactionHash"] == operation.tx_hash
    assert operation.acknowledged is True


def test_an_anchor_that_a_reorg_undoes_comes_again_and_is_told_again(chain: Chain, write: Write) -> None:
    operation = anchored(chain, write)
    anchoring.anchor_due()
    operation.refresh_from_db()
    chain.rpc("anvil_rollback", chain.block_number() - (operation.block_number or 0) + 1)
    chain.rpc("anvil_dropAllTransactions")
    chain.mine(3)
    assert anchoring.read_anchors() == []
    settle(chain)
    anchoring.anchor_due()
    assert [anchor.sequence for anchor in anchoring.read_anchors() or []] == [3]
    assert AuditEntry.objects.filter(action="audit.anchored", target=f"operation:{operation.pk}").count() == 2
    assert selectors.unacknowledged("anchor", 10) == selectors.reopened("anchor", 10) == []


def test_a_tail_that_was_anchored_and_cut_off_is_found(chain: Chain, write: Write) -> None:
    write(2)
    sealing.seal_due()
    anchored(chain, write)
    QuerySet(AuditEntry).filter(block=2).delete()
    QuerySet(AuditEntry).filter(block=0).delete()
    QuerySet(AuditBlock).filter(number=2).delete()
    forget_in_redis()
    assert texts() == [("anchor", f"was anchored on {clock.today()} and is gone: the trail was cut short")]


def test_a_trail_that_was_rewritten_with_our_own_keys_is_found(chain: Chain, write: Write) -> None:
    """Macs, blocks and hashes all made anew, Redis cleared: the chain still says otherwise."""
    anchored(chain, write)
    QuerySet(AuditBlock).delete()
    QuerySet(AuditEntry).filter(block=0).delete()
    QuerySet(AuditEntry).update(block=0, actor=staff("innocent"))
    for entry in AuditEntry.objects.all():
        QuerySet(AuditEntry).filter(pk=entry.pk).update(mac=entry_mac(digest_of_entry(entry), signing_key()))
    forget_in_redis()
    sealing.seal_due()
    assert texts() == [("anchor", f"the trail up to here is not the one that was anchored on {clock.today()}")]
    with pytest.raises(CommandError, match="1 findings"):
        call_command("verify_audit")


def test_an_anchor_that_the_chain_refuses_is_tried_again_under_another_key(
    chain: Chain, write: Write, settings: Any
) -> None:
    contract = settings.AUDIT_ANCHOR_ADDRESS
    settings.AUDIT_ANCHOR_ADDRESS = chain.addresses["treasury"]  # no contract there
    refused = anchored(chain, write)
    refused.refresh_from_db()
    assert refused.state == OperationState.REFUSED
    settings.AUDIT_ANCHOR_ADDRESS = contract
    again = anchoring.anchor_due()
    assert again is not None
    settle(chain)
    assert [anchor.sequence for anchor in anchoring.read_anchors() or []] == [3]
    assert AuditEntry.objects.filter(action="audit.anchor_failed", target=f"operation:{refused.pk}").count() == 1


def test_what_others_anchor_is_not_ours(chain: Chain, write: Write, settings: Any) -> None:
    from chain.lending.encoding import Call, encode_call

    with chain.automine():
        data = encode_call("anchor(bytes32,uint128)", [b"\x01" * 32, 10**9])
        call = Call(settings.AUDIT_ANCHOR_ADDRESS, 0, data)
        deployment.send(client=get_client(), key=key_pair("deployer").private_key, calls=[call])
    anchored(chain, write)
    assert texts() == []


def test_the_contract_refuses_a_sequence_that_is_not_later(chain: Chain, settings: Any) -> None:
    from chain.lending.encoding import Call, encode_call

    calls = [
        Call(settings.AUDIT_ANCHOR_ADDRESS, 0, encode_call("anchor(bytes32,uint128)", [b"\x01" * 32, number]))
        for number in (5, 5)
    ]
    with chain.automine(), pytest.raises(deployment.DeploymentFailed, match="transaction 2 of 2"):
        deployment.send(client=get_client(), key=key_pair("deployer").private_key, calls=calls)


def test_nothing_is_anchored_without_a_contract(chain: Chain, write: Write, settings: Any) -> None:
    settings.AUDIT_ANCHOR_ADDRESS = ""
    write(1)
    sealing.seal_due()
    assert anchoring.anchor_due() is None
    assert "anchoring is not set up" in verify_trail().notes


def test_verification_says_so_where_the_chain_does_not_answer(chain: Chain, write: Write, settings: Any) -> None:
    anchored(chain, write)
    settings.AUDIT_ANCHOR_ADDRESS = chain.addresses["treasury"]
    with pytest.raises(CommandError, match="The anchors cannot be read"):
        call_command("verify_audit")
    call_command("verify_audit", no_anchors=True)
