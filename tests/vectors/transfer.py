"""Computes transfer.json: an implementation of docs/wire/transfer.md of its own (encryption by OpenSSL).

python3 tests/vectors/transfer.py > tests/vectors/transfer.json
Needs the package `cryptography`.
"""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

CHUNK = 65536


def h(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def extract(salt, ikm):
    return hmac.new(salt, ikm, hashlib.sha256).digest()


def expand(prk, info, n):
    out, block, i = b"", b"", 1
    while len(out) < n:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha256).digest()
        out += block
        i += 1
    return out[:n]


def be(value, n):
    return value.to_bytes(n, "big")


def padme(number):
    if number < 2:
        return number
    e = number.bit_length() - 1
    s = (e.bit_length() - 1) + 1 if e else 1
    step = 1 << max(e - s, 0)
    return -(-number // step) * step


class Attempt:
    def __init__(self, secret, start, number, salts):
        self.prk = extract(b"whisht/1/bulk/salt", secret)
        self.name = be(start, 8) + be(number, 4)
        self.salts = salts
        self.counters = [0, 0]

    def cookie(self):
        return expand(self.prk, b"whisht/1/bulk/cookie" + self.name, 20)

    def hello(self, d, runs):
        content = bytes([1, len(runs)]) + b"".join(be(run, 4) for run in runs)
        plain = (bytes([1]) + be(len(content), 2) + content).ljust(764, b"\0")
        key = expand(self.prk, b"whisht/1/bulk/hello" + self.name + bytes([d]) + self.salts[d], 32)
        return self.salts[d] + ChaCha20Poly1305(key).encrypt(bytes(12), plain, None)

    def frame(self, d, kind, content):
        plain = (bytes([kind]) + be(len(content), 2) + content).ljust(796, b"\0")
        info = b"whisht/1/bulk/key" + self.name + bytes([d]) + self.salts[0] + self.salts[1]
        key = expand(self.prk, info, 32)
        nonce = bytes(4) + be(self.counters[d], 8)
        self.counters[d] += 1
        return ChaCha20Poly1305(key).encrypt(nonce, plain, None)


def content(length):
    """Bytes that a reader of this file can make again."""
    out = b""
    i = 0
    while len(out) < length:
        out += h(b"content", be(i, 4))
        i += 1
    return out[:length]


def leaves(file_id, data):
    chunks = [data[i : i + CHUNK].ljust(CHUNK, b"\0") for i in range(0, len(data), CHUNK)]
    return [h(b"whisht/1/bulk/leaf", file_id, be(n, 4), chunk) for n, chunk in enumerate(chunks)], chunks


def file_case(length):
    file_id = h(b"id", be(length, 8))[:16]
    data = content(length)
    hashes, _ = leaves(file_id, data)
    root = h(b"whisht/1/bulk/root", be(length, 8), *hashes)
    return {
        "length": length,
        "id": file_id.hex(),
        "leaves": b"".join(hashes).hex(),
        "root": root.hex(),
        "padded_chunks": padme(len(hashes)),
    }


def offer_case(name, length, relays):
    file = file_case(length)
    secret = h(b"secret", name)
    parts = [
        bytes.fromhex(file["id"]),
        secret,
        be(length, 8),
        be(-(-length // CHUNK), 4),
        bytes.fromhex(file["root"]),
        bytes([len(name)]),
        name,
        bytes([len(relays)]),
        *relays,
    ]
    return {
        "id": file["id"],
        "secret": secret.hex(),
        "length": length,
        "root": file["root"],
        "name": name.decode(),
        "relays": [relay.hex() for relay in relays],
        "bytes": b"".join(parts).hex(),
    }


def answer_cases():
    file_id = h(b"answered")[:16]
    relays = [h(b"relay", bytes([i])) for i in range(2)]
    start = 1_800_000_000
    cases = [
        ("declined", bytes([0, 0]), {}),
        ("other relays", bytes([0, 2]) + relays[0] + relays[1], {"relays": [r.hex() for r in relays]}),
        ("accepted", bytes([1]) + be(start, 8) + bytes([3, 1]), {"start": start, "places": [3, 1]}),
        ("received", bytes([2]), {}),
    ]
    for verdict, rest, fields in cases:
        yield {"id": file_id.hex(), "verdict": verdict, **fields, "bytes": (file_id + rest).hex()}


def attempt_cases():
    for start, number in [(1_800_000_000, 0), (1_800_000_000, 9), (1_800_000_120, 0)]:
        secret = h(b"attempts")
        attempt = Attempt(secret, start, number, [bytes(32), bytes(32)])
        yield {
            "secret": secret.hex(),
            "start": start,
            "number": number,
            "cookie": attempt.cookie().hex(),
        }


def session_case(present):
    length = 2 * CHUNK - 1000
    file = file_case(length)
    file_id = bytes.fromhex(file["id"])
    hashes, chunks = leaves(file_id, content(length))
    salts = [h(b"salt", bytes([d])) for d in (0, 1)]
    secret, start, number = h(b"session"), 1_800_000_000, 4
    attempt = Attempt(secret, start, number, salts)
    runs = [0, present] if present else []
    sender = [attempt.hello(0, []), attempt.frame(0, 2, be(0, 4) + b"".join(hashes))]
    data = []
    for n in range(present, 2):
        framed = be(n, 4) + chunks[n]
        data += [attempt.frame(0, 3, framed[i : i + 793]) for i in range(0, len(framed), 793)]
    receiver = [
        attempt.hello(1, runs),
        attempt.frame(1, 4, be(192, 2)),
        attempt.frame(1, 5, b""),
    ]
    return {
        "length": length,
        "id": file["id"],
        "root": file["root"],
        "secret": secret.hex(),
        "start": start,
        "number": number,
        "salts": [salt.hex() for salt in salts],
        "present": present,
        "sender": [payload.hex() for payload in sender],
        "data_frames": len(data),
        "data_hash": h(*data).hex(),
        "receiver": [payload.hex() for payload in receiver],
    }


def main():
    relays = [h(b"relay", bytes([i])) for i in range(4)]
    vectors = {
        "padme": [[n, padme(n)] for n in [*range(1, 70), 306, 1000, 4097, 16384, 100_000, 262_144]],
        "files": [file_case(n) for n in (1, 100, CHUNK, CHUNK + 1, 3 * CHUNK + 7)],
        "offers": [
            offer_case(b"a", 1, relays[:1]),
            offer_case("Fotos für die Redaktion.zip".encode(), 3 * CHUNK + 7, relays),
        ],
        "answers": list(answer_cases()),
        "attempts": list(attempt_cases()),
        "sessions": [session_case(0), session_case(1)],
    }
    print(json.dumps(vectors, indent=1))


main()
