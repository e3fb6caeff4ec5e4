"""Migrations of auth, admin and contenttypes for MongoDB, made by makemigrations; each app's stock ones make AutoFields.

When Django changes a model of these apps: `makemigrations auth admin contenttypes` with a MongoDB `DATABASE_URL`.
"""
