"""Bodies made small: deflate, primed with words that such bodies hold anyway.

Most of a decision's JSON is keys, and most of a transcript is what every transcript of the application says. Deflate
finds neither in a body of 1 kB alone; primed with a sample it finds both (measured on the reference application: a
decision of 1,395 bytes packs into 390 instead of 650, a transcript of 2,250 into 80 to 400 instead of 910).

A packed body is one byte that names how, the CRC-32 of the rest, then raw deflate: deflate alone has bits that mean
nothing, and every flipped bit is to be found. `PRIMER` is part of the format and never changes.
"""

from __future__ import annotations

import zlib

__all__ = ["PRIMER", "pack", "unpack"]

_DEFLATED = b"\x01"
_LEVEL = 6
_WORTH = 128  # bytes; below, nothing is gained

# The keys and usual values of the long events, the most frequent last, where deflate reaches them cheapest.
PRIMER = (
    b'{"job_id":"job_","turn":1,"call_id":"toolu_","tool":"","arguments":{},"content":"","idempotency_key":"","error'
    b'":true,"latency_us":{"job_id":"job_","thread_id":"thr_","user":"","turn":1,"message_ids":["msg_"],"result":"success'
    b'","reply_id":"rep_","reply":"","deliver":false,"need_input","blocked","failed","reason":"","trouble":""'
    b'{"job_id":"job_","turn":1,"content":[{"type":"tool_use","id":"toolu_","name":"","input":{}}],"stop_reason":"'
    b'tool_use","model":"offline:worker","content":[{"type":"text","text":""}],"cost_usd":0.0,"extra":{"confidence":0.9'
    b',"choices":[["start_new_thread",0.0],["threads[0]",0.0],["threads[1]",0.0]]}},"gate":,"gate_reason":"",'
    b'"fallback":"router","fallback_reason":"","verdict":"","message":"","cache_read_tokens":,"cache_write_tokens":,'
    b'{"message_id":"msg_","user":"","text":"","decision":{"by":"model","outcome":"dispatch_to","thread_id":"thr_",'
    b'"job_id":"job_","agent":"","thread_index":0,"outcome":"start_new_thread","name":"","language":"en",'
    b'"default_example_id":0,"reason":"","candidates":[{"thread_id":"thr_","agent":"","name":"","latest_activity_at":'
    b'17},{"thread_id":"thr_","agent":"","name":"","latest_activity_at":17}],"agents":["",""],"examples":{"":[0,1],"'
    b'":[0,1,2]},"transcript":"","prompt":"","prompt_name":"prompts/dispatcher.md","attempts":[{"model":"offline:router"'
    b',"answer":"```python\\n# \\ndispatch_to(threads[0])\\n```","answer":"```python\\n# \\nstart_new_thread(\\n    ag'
    b'ent=\\"\\",\\n    language=\\"en\\",\\n    name=\\"\\",\\n)\\n```","stop_reason":"end_turn","input_tokens":,"'
    b'output_tokens":,"latency_us":}],"latency_us":{"queue":,"warmup":,"model":,"parse":},"code_version":"0.1.0"}}'
)


def pack(body: bytes, primer: bytes = PRIMER) -> bytes:
    """The body made small; the very body where that does not help."""
    if len(body) < _WORTH and body[:1] != _DEFLATED:
        return body
    # A window no larger than what is looked at, and little memory beside it: most of the time that deflate takes for
    # a short body goes into making room for 32 kB.
    window = min(15, max(9, (len(body) + len(primer)).bit_length()))
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -window, max(1, window - 7), zdict=primer)
    packed = packer.compress(body) + packer.flush()
    packed = _DEFLATED + zlib.crc32(packed).to_bytes(4, "big") + packed
    return packed if len(packed) < len(body) or body[:1] == _DEFLATED else body


def unpack(stored: bytes, primer: bytes = PRIMER) -> bytes:
    """What `pack` was given. Raises: ValueError for bytes that it did not make."""
    if stored[:1] != _DEFLATED:
        return stored
    packed = stored[5:]
    if zlib.crc32(packed).to_bytes(4, "big") != stored[1:5]:
        raise ValueError("a packed body was altered")
    unpacker = zlib.decompressobj(-15, zdict=primer)
    try:
        body = unpacker.decompress(packed) + unpacker.flush()
    except zlib.error as error:
        raise ValueError(f"a packed body is damaged: {error}") from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("a packed body is cut short, or has something after its end")
    return body
