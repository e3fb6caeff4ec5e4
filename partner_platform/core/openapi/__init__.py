"""The OpenAPI 3.1 schema, made from the code: drf-spectacular finds the endpoints and maps the serializers.

- `operations`: an endpoint's documentation beside its serializers (`@described(OperationDoc(…))` on the view's method)
- `headers`: the headers of requests and answers, each once
- `auto_schema`: an endpoint as an OpenAPI operation; errors come from `core.error_catalogue`
- `document`: the whole schema; `manage.py openapi` writes it to docs/openapi.json, which a test holds against the code

An endpoint without an `OperationDoc` fails the generation, and with it the tests and `check --deploy`.
"""
