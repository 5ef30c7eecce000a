"""Migrations of the online store, as Alembic runs them; one file a revision, never changed once it was released."""
