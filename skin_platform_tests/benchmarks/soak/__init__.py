"""Soak: the service for minutes under load, with what goes wrong in a year: bad input, kills, a database that is away, moves.

    python -m skin_platform_tests.benchmarks.soak [--json] [--quick] [--only steady,kills,outage,moves] [--model FOLDER]

Real processes, a real PostgreSQL, EfficientNet-B0 at 224 px; ``--quick`` asks a tiny model, and less often.
"""
