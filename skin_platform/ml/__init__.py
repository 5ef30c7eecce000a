"""What learns: torch, Lightning and transformers. Knows no store and no room."""

import os

# read once, when torch is loaded. By default the threads of a step wait for each other by spinning: beside other work on their
# cores (an ingest, a service, a second training) that made training five to eight times as slow as waiting asleep
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
