"""What `webhook.test` says in `data`, as the schema describes it."""

# ruff: noqa: N815 - the contract's names

from rest_framework import serializers


class TestObject(serializers.Serializer):
    """`webhook.test`: you asked for it."""

    endpointId = serializers.UUIDField(help_text="The endpoint that it is sent to, and no other one.")
    message = serializers.CharField()


TEST_EXAMPLE = {
    "endpointId": "3d9c1b77-8f0e-4c52-9d0e-6b1f0a2c4e88",
    "message": "A test event: nothing happened to a loan.",
}
