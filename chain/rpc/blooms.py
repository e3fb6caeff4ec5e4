"""What a block's own header says about its logs: a bloom filter of their addresses and topics.

A node that answers `eth_getLogs` without a block's logs contradicts the header that it shows of it; where the header
says that there is nothing, there is nothing. Source: Yellow Paper, 4.4.1 (the transaction receipt's bloom filter).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eth_bloom.bloom import BloomFilter
from eth_utils.hexadecimal import decode_hex

Filter = Mapping[str, Any]  # address and topics of eth_getLogs


def may_match(header: Mapping[str, Any], filters: Iterable[Filter]) -> bool:
    """True where the block may have a log that one of the filters asks for; False is certain.

    False too of a header without a bloom filter, or with an empty one: some nodes fill it with zeros.
    """
    bits = int(header.get("logsBloom") or "0x0", 16)
    bloom = BloomFilter(bits)
    return bits != 0 and any(_may_match(bloom, wanted) for wanted in filters)


def _may_match(bloom: BloomFilter, wanted: Filter) -> bool:
    places = [_list(wanted["address"]), *(_list(topic) for topic in wanted.get("topics", []) if topic is not None)]
    return all(any(decode_hex(item) in bloom for item in choice) for choice in places)


def _list(value: str | Sequence[str]) -> Sequence[str]:
    return [value] if isinstance(value, str) else value
