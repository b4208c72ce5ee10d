#!/usr/bin/env python3
"""Writes shard.json and sample.json from the text of docs/wire/dispersal.md alone.

Nothing but Python's standard library; shares no code with the crate, so that the two check each
other. Run it in this folder.
"""

import hashlib
import json
import math
import struct


def chacha20(key, length, nonce=bytes(12)):
    """The keystream of RFC 8439 from block 0 on."""

    def quarter(state, a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            mixed = state[z] ^ state[x]
            state[z] = (mixed << bits | mixed >> (32 - bits)) & 0xFFFFFFFF

    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    stream = b""
    for counter in range((length + 63) // 64):
        start = list(struct.unpack("<4I", b"expand 32-byte k"))
        start += struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
        state = start[:]
        for _ in range(10):
            for lanes in columns + diagonals:
                quarter(state, *lanes)
        words = ((a + b) & 0xFFFFFFFF for a, b in zip(state, start))
        stream += struct.pack("<16I", *words)
    return stream[:length]


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


def pack(key, envelope, package_len):
    plain = struct.pack(">I", len(envelope)) + envelope
    plain += bytes(package_len - 32 - len(plain))
    body = xor(plain, chacha20(key, len(plain)))
    digest = hashlib.blake2b(b"whisht/1/aont" + body, digest_size=32).digest()
    return body + xor(key, digest)


# GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1.


def mul(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a & 0x100:
            a ^= 0x11D
        b >>= 1
    return product


TABLE = [bytes(mul(a, b) for b in range(256)) for a in range(256)]
INVERSE = [0] + [row.index(1) for row in TABLE[1:]]


def power(a, n):
    result = 1
    for _ in range(n):
        result = TABLE[result][a]
    return result


def dot(row, column):
    total = 0
    for a, b in zip(row, column, strict=True):
        total ^= TABLE[a][b]
    return total


def invert(matrix):
    size = len(matrix)
    rows = [list(row) + [int(i == j) for j in range(size)] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = next(j for j in range(i, size) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        scale = TABLE[INVERSE[rows[i][i]]]
        rows[i] = [scale[x] for x in rows[i]]
        for j in range(size):
            if j != i and rows[j][i]:
                factor = TABLE[rows[j][i]]
                rows[j] = [x ^ factor[y] for x, y in zip(rows[j], rows[i])]
    return [row[size:] for row in rows]


def code(package, k, n):
    """The n shards of a package: the package itself, then parity."""
    data = [package[i * 615 : (i + 1) * 615] for i in range(k)]
    if n == 1:
        return data
    vandermonde = [[power(r, c) for c in range(k)] for r in range(n)]
    columns = list(zip(*invert(vandermonde[:k])))
    shards = []
    for row in vandermonde:
        factors = [dot(row, column) for column in columns]
        shard = bytes(615)
        for factor, part in zip(factors, data):
            shard = xor(shard, part.translate(TABLE[factor]))
        shards.append(shard)
    assert shards[:k] == data
    return shards


def ticket(relay, epoch, cookie, start, bits):
    prefix = b"whisht/1/ticket" + relay + struct.pack(">I", epoch) + cookie
    while True:
        candidate = struct.pack(">Q", start)
        digest = hashlib.sha256(prefix + candidate).digest()
        if int.from_bytes(digest, "big") >> (256 - bits) == 0:
            return candidate
        start = (start + 1) % 2**64


def delta(cookie, index, k, n, found, shard):
    header = cookie + bytes([index, k, n, 0]) + struct.pack(">I", k * 615) + found
    return header + shard


def named(name, what, length):
    return hashlib.sha256(f"{what} of {name}".encode()).digest()[:length]


def case(name, length, k, n):
    envelope = bytes((7 * i * i + 31 * i + 5) % 251 for i in range(length))
    key, cookie = named(name, "key", 32), named(name, "cookie", 16)
    relay, epoch, bits = named(name, "relay", 32), 41_234, 17
    start = int.from_bytes(named(name, "start", 8), "big")
    found = ticket(relay, epoch, cookie, start, bits)
    package = pack(key, envelope, k * 615)
    deltas = [delta(cookie, i, k, n, found, p) for i, p in enumerate(code(package, k, n))]
    row = {
        "name": name,
        "envelope_len": length,
        "k": k,
        "n": n,
        "key": key.hex(),
        "cookie": cookie.hex(),
        "relay": relay.hex(),
        "epoch": epoch,
        "ticket_bits": bits,
        "ticket_start": f"{start:016x}",
        "ticket": found.hex(),
        "package_sha256": hashlib.sha256(package).hexdigest(),
        "deltas_sha256": hashlib.sha256(b"".join(deltas)).hexdigest(),
    }
    if n <= 6:
        row["package"] = package.hex()
        row["deltas"] = [d.hex() for d in deltas]
    return row


def unfit(name, index, k, n, flags, length):
    header = bytes(16) + bytes([index, k, n, flags]) + struct.pack(">I", length) + bytes(8)
    return {"name": name, "header": header.hex()}


def samples():
    seed = named("samples", "seed", 32)
    stream = chacha20(seed, 8 * 64)
    draws = [(x >> 11) + 1 for (x,) in struct.iter_unpack("<Q", stream)]
    rows = []
    laws = [(100, None), (10_000, None), (20_000, 600_000), (300_000, 600_000)]
    for i, draw in enumerate(draws):
        mean, limit = laws[i % 4]
        unit = draw / 2**53
        if limit is None:
            multiple = -math.log(unit)
        else:
            multiple = -math.log1p(unit * math.expm1(-limit / mean))
        rows.append({"mean_ms": mean, "limit_ms": limit, "micros": int(mean * multiple * 1_000)})
    return {"seed": seed.hex(), "draws": rows}


def write(path, value):
    with open(path, "w", encoding="ascii", newline="\n") as file:
        json.dump(value, file, indent=1)
        file.write("\n")


write(
    "shard.json",
    {
        "sets": [
            case("whole", 563, 1, 1),
            case("two of three, smallest envelope", 563, 2, 3),
            case("two of three, full", 1_178, 2, 3),
            case("four of six", 2_408, 4, 6),
            case("sixteen of 24", 9_788, 16, 24),
            case("107 of 162", 65_536, 107, 162),
        ],
        "unfit": [
            unfit("index equal to n", 3, 2, 3, 0, 1_230),
            unfit("index of a second whole package", 1, 1, 1, 0, 615),
            unfit("k is zero", 0, 0, 3, 0, 0),
            unfit("k above n", 0, 3, 2, 0, 1_845),
            unfit("no parity", 0, 2, 2, 0, 1_230),
            unfit("k and n of different rows", 0, 2, 6, 0, 1_230),
            unfit("length of another row", 0, 2, 3, 0, 2_460),
            unfit("length one short", 0, 2, 3, 0, 1_229),
            unfit("length of four gigabytes", 0, 2, 3, 0, 2**32 - 1),
            unfit("unknown flags", 0, 2, 3, 4, 1_230),
            unfit("shard and high bit", 0, 2, 3, 128, 1_230),
        ],
    },
)
write("sample.json", samples())
