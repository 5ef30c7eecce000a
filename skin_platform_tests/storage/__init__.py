"""Promises of the stores: real DuckDB, real files, a real S3 endpoint."""
