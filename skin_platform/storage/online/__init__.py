"""The online store: what the service records while it answers (SQLAlchemy; SQLite by default, PostgreSQL elsewhere)."""
