"""What tests share: clocks, servers, a user at a shell, independent readers. No tests."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout."""
