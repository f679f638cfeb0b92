"""The rate limits of the API, counted before each request is sent, together for all processes (I4).

May import `config` and `core`. Start with `limiter`; `windows` holds the rules.
"""

from .headers import reset_in
from .limiter import NO_WAIT, RateLimiter, Ticket
from .open import open_rate_limiter, state_name

__all__ = ["NO_WAIT", "RateLimiter", "Ticket", "open_rate_limiter", "reset_in", "state_name"]
