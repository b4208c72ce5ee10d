#!/usr/bin/env python3
"""Writes scatter.json from the text of docs/wire/dispersal.md, section "Scatter".

Nothing but Python's standard library and shard.py; shares no code with the crate. Run it in this
folder.
"""

import hashlib
import json
import math

import shard

PROFILES = {"asymmetric": 397, "symmetric": 482, "conversation": 472}
NEEDED = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
RATE = 136


def keccak256(data):
    """Keccak with the padding of Ethereum."""

    def rotate(value, bits):
        return (value << bits | value >> (64 - bits)) & (2**64 - 1) if bits else value

    def permute(lanes):
        lfsr = 1
        for _ in range(24):
            parity = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
            for x in range(5):
                mixed = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1)
                lanes[x] = [lane ^ mixed for lane in lanes[x]]
            x, y, current = 1, 0, lanes[1][0]
            for t in range(24):
                x, y = y, (2 * x + 3 * y) % 5
                current, lanes[x][y] = lanes[x][y], rotate(current, (t + 1) * (t + 2) // 2 % 64)
            for y in range(5):
                row = [lanes[x][y] for x in range(5)]
                for x in range(5):
                    lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5])
            for j in range(7):
                lfsr = (lfsr << 1) ^ ((lfsr >> 7) * 0x71)
                lfsr &= 0xFF
                if lfsr & 2:
                    lanes[0][0] ^= 1 << ((1 << j) - 1)

    data = data + b"\x01" + bytes(-(len(data) + 2) % RATE) + b"\x80" if (len(data) + 1) % RATE else data + b"\x81"
    lanes = [[0] * 5 for _ in range(5)]
    for block in range(0, len(data), RATE):
        for at in range(RATE // 8):
            word = data[block + 8 * at : block + 8 * at + 8]
            lanes[at % 5][at // 5] ^= int.from_bytes(word, "little")
        permute(lanes)
    return b"".join(lanes[at % 5][at // 5].to_bytes(8, "little") for at in range(4))


def code(package, k, n, length):
    """The n shards of a package."""
    data = [package[i * length : (i + 1) * length] for i in range(k)]
    vandermonde = [[shard.power(r, c) for c in range(k)] for r in range(n)]
    columns = list(zip(*shard.invert(vandermonde[:k])))
    shards = []
    for row in vandermonde:
        part = bytes(length)
        for column, source in zip(columns, data):
            part = shard.xor(part, source.translate(shard.TABLE[shard.dot(row, column)]))
        shards.append(part)
    assert shards[:k] == data
    return shards


def case(profile, length):
    size = PROFILES[profile]
    k = next(k for k in NEEDED if k * size - 52 >= length)
    n = math.ceil(1.5 * k)
    set_id = hashlib.sha256(f"{profile} {length}".encode()).digest()[:8]
    key = hashlib.sha256(b"key" + set_id).digest()
    message = bytes(i % 251 for i in range(length))
    shards = code(shard.pack(key, message, k * size), k, n, size)
    bodies = [set_id + bytes([k, index, 0, 0, 0]) + part for index, part in enumerate(shards)]
    return {
        "profile": profile,
        "message_len": length,
        "set": set_id.hex(),
        "key": key.hex(),
        "k": k,
        "n": n,
        "mark": keccak256(b"whisht/1/shard" + set_id)[:8].hex(),
        "first_body": bodies[0].hex(),
        "bodies_sha256": hashlib.sha256(b"".join(bodies)).hexdigest(),
    }


if __name__ == "__main__":
    assert keccak256(b"").hex().startswith("c5d2460186f7233c")
    lengths = {"asymmetric": (0, 742, 743, 4700), "symmetric": (700, 5000), "conversation": (892, 30156)}
    cases = [case(profile, length) for profile in PROFILES for length in lengths[profile]]
    with open("scatter.json", "w") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")
