"""The only place that knows the bytes of the wire protocol, version 1."""

from .acks import decode_hello, decode_receipt, encode_hello, encode_receipt, renumbered, sender_of
from .arrays import pack_array, unpack_array
from .frames import decode_frame, encode_events, encode_points
from .groups import encode_assignments
from .published import decode_published, encode_published, topic
from .query import decode_query, decode_reply, encode_query, encode_reply
from .state import pack_state, unpack_state
from .wire import VERSION

__all__ = [
    "VERSION",
    "decode_frame",
    "decode_hello",
    "decode_published",
    "decode_query",
    "decode_receipt",
    "decode_reply",
    "encode_assignments",
    "encode_events",
    "encode_hello",
    "encode_points",
    "encode_published",
    "encode_query",
    "encode_receipt",
    "encode_reply",
    "pack_array",
    "pack_state",
    "renumbered",
    "sender_of",
    "topic",
    "unpack_array",
    "unpack_state",
]
