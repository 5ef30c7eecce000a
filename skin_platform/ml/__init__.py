"""What learns: torch, Lightning and transformers; knows no store and no room."""
