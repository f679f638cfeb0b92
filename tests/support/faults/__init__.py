"""The fault matrix: what goes wrong (`kinds`), in which phase (`phases`), and what came of it (`page`)."""
