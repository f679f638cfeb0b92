"""The rate limits of the API, counted before each request is sent, together for all processes (I4).

May import: `config`, `core`.
Start with `limiter`; `windows` counts.
"""

from .limiter import LONG_WAIT, NO_WAIT, RateLimiter, open_rate_limiters, state_name, wait_logger

__all__ = ["LONG_WAIT", "NO_WAIT", "RateLimiter", "open_rate_limiters", "state_name", "wait_logger"]
