"""The vendor's quota, counted on this side before a request is sent, in one place for all processes (I4)."""

from .headers import reset_in
from .opening import open_quota, tally_name
from .quota import NO_WAIT, Quota, Ticket
from .sqlite import network_file_system

__all__ = ["NO_WAIT", "Quota", "Ticket", "network_file_system", "open_quota", "reset_in", "tally_name"]
