"""The environment of a live platform that may start; nothing in it is used anywhere."""

LIVE = {
    "PLATFORM_ENVIRONMENT": "live",
    "DJANGO_SETTINGS_MODULE": "partner_platform.settings",
    "DJANGO_SECRET_KEY": "k3Jx9Qm2Vt7Wb4Rz8Yc5Nf1Hp6Ld0Sg-ua_Ei7Ox3Tw9Zq2Mv4Bk8Ry",
    "FIELD_ENCRYPTION_KEYS": "x7QvDtMZ25D_5W0wk7BxjeIRkY8rpHlc1FR6fdazh88=",
    "DJANGO_ALLOWED_HOSTS": "api.example.com",
    "DATABASE_URL": "sqlite:///:memory:",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "CHAIN_ID": "5000",
    "CHAIN_RPC_URLS": "https://rpc.example.com",
}
# A private key that is no development chain's; the chain knows it as nobody's.
SIGNING_KEY = "0x" + "5f1d8c3a97e2460bd4f8157c9a3e60b2d7418f5ca60e93b2c7d5184f6a9be031"
