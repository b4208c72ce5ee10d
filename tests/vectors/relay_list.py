"""Computes relay_list.json: an implementation of docs/wire/relay-list.md of its own.

python3 tests/vectors/relay_list.py > tests/vectors/relay_list.json
Standard library only. Signatures are made with the nonce of RFC 6979 and checked by recovery.
"""

import hashlib
import hmac
import ipaddress
import json

# --- Keccak-256, by the definition of FIPS 202 with the padding of 2012 ------------------------


def keccak256(message):
    rate, state = 136, [0] * 25
    block = bytearray(message) + b"\x01"
    block += bytes(-len(block) % rate)
    block[-1] ^= 0x80
    for at in range(0, len(block), rate):
        for lane in range(rate // 8):
            state[lane] ^= int.from_bytes(block[at + 8 * lane : at + 8 * lane + 8], "little")
        permute(state)
    return b"".join(state[lane].to_bytes(8, "little") for lane in range(4))


MASK = (1 << 64) - 1


def turn(word, by):
    by %= 64
    return ((word << by) | (word >> (64 - by))) & MASK


def permute(a):
    lfsr = 1
    for _ in range(24):
        c = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        d = [c[(x + 4) % 5] ^ turn(c[(x + 1) % 5], 1) for x in range(5)]
        for i in range(25):
            a[i] ^= d[i % 5]
        x, y, word = 1, 0, a[1]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            i = x + 5 * y
            word, a[i] = a[i], turn(word, (t + 1) * (t + 2) // 2)
        for row in range(0, 25, 5):
            r = a[row : row + 5]
            for x in range(5):
                a[row + x] = r[x] ^ (~r[(x + 1) % 5] & MASK & r[(x + 2) % 5])
        for j in range(7):
            if lfsr & 1:
                a[0] ^= 1 << ((1 << j) - 1)
            lfsr = (lfsr << 1) ^ (0x171 if lfsr & 0x80 else 0)


# --- secp256k1, in Jacobian coordinates ---------------------------------------------------------

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)


def double(p):
    x, y, z = p
    if not y or not z:
        return 0, 1, 0
    s, m = 4 * x * y * y % P, 3 * x * x % P
    nx = (m * m - 2 * s) % P
    return nx, (m * (s - nx) - 8 * y**4) % P, 2 * y * z % P


def plus(p, q):
    if not p[2]:
        return q
    if not q[2]:
        return p
    z1, z2 = p[2] * p[2] % P, q[2] * q[2] % P
    u1, u2 = p[0] * z2 % P, q[0] * z1 % P
    s1, s2 = p[1] * z2 * q[2] % P, q[1] * z1 * p[2] % P
    if u1 == u2:
        return double(p) if s1 == s2 else (0, 1, 0)
    h, r = (u2 - u1) % P, (s2 - s1) % P
    h2 = h * h % P
    x = (r * r - h2 * h - 2 * u1 * h2) % P
    return x, (r * (u1 * h2 - x) - s1 * h2 * h) % P, h * p[2] * q[2] % P


def multiple(point, scalar):
    out, step = (0, 1, 0), (*point, 1)
    for bit in range(256):
        if scalar >> bit & 1:
            out = plus(out, step)
        step = double(step)
    return out


def affine(point):
    inverse = pow(point[2], -1, P)
    return point[0] * inverse**2 % P, point[1] * inverse**3 % P


def raw_key(point):
    return point[0].to_bytes(32, "big") + point[1].to_bytes(32, "big")


def public(secret):
    return raw_key(affine(multiple(G, secret)))


def nonces(secret, digest):
    """RFC 6979, section 3.2, with SHA-256."""
    x = secret.to_bytes(32, "big") + (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    mac = lambda key, text: hmac.new(key, text, hashlib.sha256).digest()
    k, v = bytes(32), b"\x01" * 32
    k = mac(k, v + b"\x00" + x)
    v = mac(k, v)
    k = mac(k, v + b"\x01" + x)
    v = mac(k, v)
    while True:
        v = mac(k, v)
        yield int.from_bytes(v, "big")
        k = mac(k, v + b"\x00")
        v = mac(k, v)


def sign(secret, digest):
    for nonce in nonces(secret, digest):
        if not 0 < nonce < N:
            continue
        x, y = affine(multiple(G, nonce))
        r = x % N
        s = pow(nonce, -1, N) * (int.from_bytes(digest, "big") + r * secret) % N
        if not r or not s:
            continue
        number = (y & 1) | (2 if x >= N else 0)
        if s > N // 2:
            s, number = N - s, number ^ 1
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([number])


def recover(digest, signature):
    r, s, number = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if number > 1 or not 0 < r < N or not 0 < s <= N // 2:
        return None
    square = (r**3 + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    if y & 1 != number:
        y = P - y
    inverse = pow(r, -1, N)
    of_base = multiple(G, -int.from_bytes(digest, "big") * inverse % N)
    total = plus(of_base, multiple((r, y), s * inverse % N))
    return raw_key(affine(total)) if total[2] else None


# --- RLP ----------------------------------------------------------------------------------------


def encode(item):
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    short, body = (0x80, item) if isinstance(item, bytes) else (0xC0, b"".join(map(encode, item)))
    if short == 0x80 and len(body) == 1 and body[0] < 0x80:
        return body
    if len(body) <= 55:
        return bytes([short + len(body)]) + body
    size = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([short + 55 + len(size)]) + size + body


# --- The list -----------------------------------------------------------------------------------


def network(profile, name):
    return hashlib.sha256(f"whisht/1/net/{profile}{name}".encode()).digest()


def signer(secret):
    return hashlib.sha256(b"whisht/1/list-signer" + public(secret)).digest()


def signers(threshold, secrets):
    return [threshold, sorted(map(signer, secrets))]


def list_id(header):
    return keccak256(b"whisht/1/relay-list" + encode(header))


def signatures(header, secrets):
    order = header[4][1]
    digest = list_id(header)
    made = sorted((order.index(signer(secret)), sign(secret, digest)) for secret in secrets)
    for number, signature in made:
        key = recover(digest, signature)
        assert hashlib.sha256(b"whisht/1/list-signer" + key).digest() == order[number]
    return [[number, signature] for number, signature in made]


def relay(number, family=0, hint=()):
    return [public(number), family, list(hint)]


def relay_list(epochs, pinned, nexts, relays, by, rotations=(), where=("main", "whisht")):
    relays = sorted(relays, key=lambda entry: entry[0])
    header = [1, network(*where), *epochs, pinned, nexts, keccak256(encode(relays))]
    return [header, signatures(header, by), relays, list(rotations)]


ip4 = lambda address, port: (1, ipaddress.ip_address(address).packed, port)
ip6 = lambda address, port: (2, ipaddress.ip_address(address).packed, port)
onion = lambda key, port: (3, key, port)

RELAYS = [
    relay(21, 0, ip4("93.184.216.34", 20819)),
    relay(22, 1, ip6("2606:2800:220:1::1", 20819)),
    relay(23, 1, onion(bytes(range(32)), 80)),
    relay(24),
]
OLD, NEW = signers(2, [1, 2, 3]), signers(3, [2, 3, 4, 5])
FIRST = relay_list((41000, 41056), OLD, [], RELAYS, [1, 3])
ROTATING = relay_list((41056, 41112), OLD, NEW, RELAYS[:3], [2, 3])
AFTER = relay_list((41100, 41162), NEW, [], RELAYS[1:], [2, 4, 5], [ROTATING[:2]])

# A quorum that lacks a signer, one that counts twice, a lowered threshold, a forged rotation.
FEW = relay_list((41000, 41056), OLD, [], RELAYS, [1])
TWICE = [FIRST[0], [FIRST[1][0], FIRST[1][0]], *FIRST[2:]]
LOWERED = relay_list((41000, 41056), signers(2, [1, 2]), [], RELAYS, [1, 2])
ELSEWHERE = relay_list((41000, 41056), OLD, [], RELAYS, [1, 3], where=("main", "elsewhere"))
FORGED = relay_list((41056, 41112), OLD, NEW, RELAYS, [2])
FORGED = relay_list((41100, 41162), NEW, [], RELAYS, [2, 3, 4, 5], [FORGED[:2]])
OTHER_RELAYS = [FIRST[0], FIRST[1], FIRST[2][:3], []]
HIGH = FIRST[1][0][1]
HIGH = HIGH[:32] + (N - int.from_bytes(HIGH[32:64], "big")).to_bytes(32, "big") + bytes([HIGH[64] ^ 1])
HIGH_S = [FIRST[0], [[FIRST[1][0][0], HIGH], FIRST[1][1]], *FIRST[2:]]


def shown(document, pinned):
    return {
        "raw": encode(document).hex(),
        "id": list_id(document[0]).hex(),
        "pinned": {"threshold": pinned[0], "ids": [one.hex() for one in pinned[1]]},
        "from": document[0][2],
        "until": document[0][3],
        "relays": len(document[2]),
    }


def refused(document, pinned, reason):
    return {**shown(document, pinned), "refused": reason}


print(
    json.dumps(
        {
            "signers": [
                {"secret": secret.to_bytes(32, "big").hex(), "key": public(secret).hex(), "id": signer(secret).hex()}
                for secret in (1, 2, 3, 4, 5)
            ],
            "valid": [shown(FIRST, OLD), shown(ROTATING, OLD), shown(AFTER, OLD), shown(AFTER, NEW)],
            "refused": [
                refused(FEW, OLD, "TooFewSignatures"),
                refused(TWICE, OLD, "SignatureOrder"),
                refused(LOWERED, signers(2, [1, 2, 3]), "Signers"),
                refused(ELSEWHERE, OLD, "Network"),
                refused(FORGED, OLD, "TooFewSignatures"),
                refused(OTHER_RELAYS, OLD, "RelaysDigest"),
                refused(HIGH_S, OLD, "Signature"),
                refused(AFTER, signers(1, [9]), "Signers"),
            ],
            "drafted": [
                {
                    **shown(FIRST, OLD),
                    "by": [1, 3],
                    "entries": [
                        {"key": entry[0].hex(), "family": entry[1], "hint": [item.hex() if isinstance(item, bytes) else item for item in entry[2]]}
                        for entry in RELAYS
                    ],
                }
            ],
        },
        indent=1,
    )
)
