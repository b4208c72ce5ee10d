"""Checks descriptor.json and writes lane_lengths.json and mixing.json, from docs/wire alone.

Standard library only; Equi-X itself is the one thing not checked here.
"""

import hashlib
import hmac
import ipaddress
import json
import struct

# --- Keccak-256 -------------------------------------------------------------------------------


def rotate(word, by):
    return (word << by | word >> (64 - by)) & (2**64 - 1) if by else word


def round_constants():
    register = 1
    for _ in range(24):
        constant = 0
        for j in range(7):
            constant |= (register & 1) << ((1 << j) - 1)
            register <<= 1
            register ^= 0x171 if register & 0x100 else 0
        yield constant


def keccak_f(lanes):
    for constant in round_constants():
        columns = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        mixed = [columns[x - 1] ^ rotate(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ mixed[x] for y in range(5)] for x in range(5)]
        x, y, moving = 1, 0, lanes[1][0]
        for step in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            moving, lanes[x][y] = lanes[x][y], rotate(moving, (step + 1) * (step + 2) // 2 % 64)
        lanes = [
            [lanes[x][y] ^ (~lanes[(x + 1) % 5][y] & lanes[(x + 2) % 5][y]) for y in range(5)]
            for x in range(5)
        ]
        lanes[0][0] ^= constant
    return lanes


def keccak256(message):
    padded = bytearray(message) + b"\x01"
    padded += bytes(-len(padded) % 136)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), 136):
        for i, (word,) in enumerate(struct.iter_unpack("<Q", padded[start : start + 136])):
            lanes[i % 5][i // 5] ^= word
        lanes = keccak_f(lanes)
    return b"".join(struct.pack("<Q", lanes[i][0]) for i in range(4))


# --- secp256k1 --------------------------------------------------------------------------------

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def times(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


# --- RLP --------------------------------------------------------------------------------------


def rlp(item):
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        base, body = 0x80, item
    else:
        base, body = 0xC0, b"".join(map(rlp, item))
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length + body


# --- The descriptor ---------------------------------------------------------------------------


def check_descriptor(path):
    with open(path) as file:
        vector = json.load(file)
    data = lambda name: bytes.fromhex(vector[name])
    network = hashlib.sha256(
        f"whisht/1/net/{vector['network']['profile']}{vector['network']['name']}".encode()
    ).digest()
    assert network.hex() == vector["network"]["id"]

    key = data("key")
    relay_id = hashlib.sha256(b"whisht/1/relay-id" + key).digest()
    assert relay_id == data("relay_id") and relay_id[:16] == data("short_id")

    (ip4, port4), (ip6, port6), (onion, port) = (
        vector["endpoints"][kind] for kind in ("ip4", "ip6", "onion")
    )
    unsigned = [
        1,
        key,
        vector["epoch"],
        data("onion"),
        data("onion_next"),
        [
            [1, ipaddress.ip_address(ip4).packed, port4],
            [2, ipaddress.ip_address(ip6).packed, port6],
            [3, bytes.fromhex(onion), port],
        ],
        vector["dials"],
        [bytes.fromhex(member) for member in vector["family"]],
        vector["arrivals"],
        vector["ticket_bits"],
        data("puzzle_nonce"),
        data("puzzle_solution"),
    ]
    signature = data("signature")
    assert rlp(unsigned + [signature]) == data("raw")

    digest = hashlib.sha256(data("raw")).digest()
    assert digest == data("digest") and digest[:8] == data("digest_prefix")

    # Recover the signer: Q = (s R - z G) / r, R the point with x = r and y of this parity.
    z = int.from_bytes(keccak256(b"whisht/1/descriptor" + network + rlp(unsigned)), "big")
    r, s = (int.from_bytes(signature[i : i + 32], "big") for i in (0, 32))
    assert 0 < s <= N // 2 and signature[64] in (0, 1)
    y = pow(r**3 + 7, (P + 1) // 4, P)
    y = y if y % 2 == signature[64] else P - y
    signer = times(pow(r, -1, N), add(times(s, (r, y)), times(-z % N, G)))
    public = signer[0].to_bytes(32, "big") + signer[1].to_bytes(32, "big")
    assert public == key
    assert times(int.from_bytes(data("signing_key"), "big"), G) == signer

    challenge = (
        b"whisht/1/descriptor-pow"
        + network
        + key
        + vector["epoch"].to_bytes(4, "big")
        + data("puzzle_nonce")
    )
    head = hashlib.blake2b(challenge + data("puzzle_solution"), digest_size=32).digest()[:4]
    assert int.from_bytes(head, "big") * vector["puzzle_effort"] < 2**32


# --- Lane lengths -----------------------------------------------------------------------------


def chacha20_words(seed):
    """Endless 32-bit words: ChaCha20 under the seed, 64-bit counter and stream number zero."""
    key, counter = struct.unpack("<8I", seed), 0
    constants = struct.unpack("<4I", b"expand 32-byte k")
    while True:
        start = [*constants, *key, counter & 0xFFFFFFFF, counter >> 32, 0, 0]
        state = list(start)
        for _ in range(10):
            for a, b, c, d in (
                (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
            ):
                for to, plus, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                    state[to] = (state[to] + state[plus]) & 0xFFFFFFFF
                    word = state[turned] ^ state[to]
                    state[turned] = (word << by | word >> (32 - by)) & 0xFFFFFFFF
        yield from ((one + other) & 0xFFFFFFFF for one, other in zip(state, start))
        counter += 1


def below(words, bound):
    while (word := next(words)) < 2**32 % bound:
        pass
    return word % bound


def lane_lengths(words, floor, ceiling, lanes, room):
    choices = ceiling - floor + 1
    can_vary = choices > 1 and lanes > 1
    for _ in range(64):
        lengths = [floor + below(words, choices) for _ in range(lanes)]
        if (len(set(lengths)) > 1) == can_vary and sum(lengths) - lanes <= room:
            return lengths
    lengths = [floor] * lanes
    if can_vary and sum(lengths) - lanes < room:
        lengths[-1] += 1
    return lengths


def write_lane_lengths(path):
    seed = bytes([7] * 32)
    words = chacha20_words(seed)
    draws = []
    for floor, ceiling, lanes, room in (
        [(3, 5, 3, 1000)] * 8 + [(3, 5, 3, 9)] * 4 + [(3, 5, 3, 6), (3, 5, 3, 7)]
        + [(4, 5, 3, 1000)] * 4 + [(5, 5, 3, 1000)] + [(3, 5, 1, 1000)] * 4
    ):
        lengths = lane_lengths(words, floor, ceiling, lanes, room)
        draws.append(
            {"floor": floor, "ceiling": ceiling, "lanes": lanes, "room": room, "lengths": lengths}
        )
    rows = ",\n".join("    " + json.dumps(draw) for draw in draws)
    with open(path, "w") as file:
        file.write(f'{{\n  "seed": "{seed.hex()}",\n  "draws": [\n{rows}\n  ]\n}}\n')


# --- Mixing network ---------------------------------------------------------------------------


def layer(key):
    return int.from_bytes(hashlib.sha256(b"whisht/1/layer" + key).digest()[:4], "big") % 5 + 1


def stated_rate(byte):
    """Cells per million seconds."""
    roots = (1_000_000, 1_189_207, 1_414_214, 1_681_793)
    return roots[(byte - 1) % 4] << (byte - 1) // 4 >> 8 if byte else 0


def network(rates):
    a = sorted(rates)[(len(rates) - 1) // 4] if rates else 0
    return a, next((d for d in (1, 2, 3, 5, 8, 12, 20) if a * d // 10**6 >= 60), 20)


def mixing_guards(seed, unix, ids):
    """The guard and its backups among relays of layer 1."""
    mac = lambda message: hmac.digest(seed, message, "sha256")
    length = 120 * 86_400
    period = (unix + int.from_bytes(mac(b"whisht/1/guard-offset")[:4], "big") % length) // length
    rank = lambda one: mac(b"whisht/1/mixing-guard" + one + period.to_bytes(4, "big"))
    return sorted(ids, key=rank)[:3]


def write_mixing(path):
    named = lambda *parts: hashlib.sha256(" ".join(map(str, parts)).encode()).digest()
    keys = [named("key", number, "x") + named("key", number, "y") for number in range(12)]
    networks = []
    for number, (relays, low, high) in enumerate(
        [(1, 50, 50), (4, 30, 70), (12, 40, 60), (60, 41, 49), (61, 46, 56), (80, 0, 96), (7, 70, 96)]
    ):
        stated = [low + named("rate", number, i)[0] % (high - low + 1) for i in range(relays)]
        a, secs = network([stated_rate(byte) for byte in stated])
        networks.append({"stated": stated, "rate": a, "delay_secs": secs, "pool": a * secs // 10**6})
    ids = [named("relay", number) for number in range(8)]
    guards = []
    for number in range(3):
        seed, unix = named("seed", number)[:16], 1_728_000_000 + number * 90 * 86_400
        chosen = [ids.index(one) for one in mixing_guards(seed, unix, ids)]
        guards.append({"seed": seed.hex(), "unix": unix, "chosen": chosen})
    rows = lambda items: ",\n".join("    " + json.dumps(item) for item in items)
    with open(path, "w") as file:
        file.write(
            '{\n  "layers": [\n'
            + rows([{"key": key.hex(), "layer": layer(key)} for key in keys])
            + '\n  ],\n  "rates": [\n'
            + rows([[byte, stated_rate(byte)] for byte in range(97)])
            + '\n  ],\n  "networks": [\n'
            + rows(networks)
            + '\n  ],\n  "ids": [\n'
            + rows([one.hex() for one in ids])
            + '\n  ],\n  "guards": [\n'
            + rows(guards)
            + "\n  ]\n}\n"
        )


check_descriptor("descriptor.json")
write_mixing("mixing.json")
write_lane_lengths("lane_lengths.json")
