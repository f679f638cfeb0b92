"""The rate limits of the API, counted before each request is sent, together for all processes (I4).

May import: `config`, `core`.
Start with `limiter`; `windows` counts, and `reports` applies what the server says.
"""

from .headers import exhausted_until, read_response
from .limiter import NO_WAIT, RateLimiter
from .open import learned_limits, open_rate_limiter, state_name
from .windows import Ticket

__all__ = [
    "NO_WAIT",
    "RateLimiter",
    "Ticket",
    "exhausted_until",
    "learned_limits",
    "open_rate_limiter",
    "read_response",
    "state_name",
]
