// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title Heads of an audit trail, each written once and never changed
/// @notice Whoever calls has a list of their own, which only grows: a trail that was cut short or rewritten later no longer
/// has the hash that stands here at that sequence number.
contract AuditAnchor {
    struct Anchor {
        bytes32 head;
        uint128 sequence;
        uint128 time;
    }

    mapping(address owner => Anchor[]) private _anchors;

    event Anchored(address indexed owner, uint256 indexed sequence, bytes32 head);

    error NotLater(uint256 sequence, uint256 last);

    /// @notice Appends a head to the caller's list; the sequence number must be higher than the last one.
    function anchor(bytes32 head, uint128 sequence) external {
        Anchor[] storage own = _anchors[msg.sender];
        uint256 last = own.length == 0 ? 0 : own[own.length - 1].sequence;
        if (sequence <= last) revert NotLater(sequence, last);
        own.push(Anchor(head, sequence, uint128(block.timestamp)));
        emit Anchored(msg.sender, sequence, head);
    }

    /// @notice How many heads this owner has put here.
    function count(address owner) external view returns (uint256) {
        return _anchors[owner].length;
    }

    /// @notice One of them, oldest first.
    function anchorAt(address owner, uint256 index) external view returns (bytes32 head, uint256 sequence, uint256 time) {
        Anchor storage found = _anchors[owner][index];
        return (found.head, found.sequence, found.time);
    }
}
