#!/usr/bin/env python3
"""Writes circuit.json from the text of docs/wire/cell.md and docs/wire/circuit.md alone.

Nothing but Python's standard library and shard.py; shares no code with the crate. Run it in this
folder.
"""

import hashlib
import hmac
import json
import struct

from shard import chacha20, xor


def named(what, length):
    blocks = b""
    while len(blocks) < length:
        count = struct.pack(">I", len(blocks) // 32)
        blocks += hashlib.sha256(b"whisht test vector/" + what.encode() + count).digest()
    return blocks[:length]


P = 2**255 - 19


def clamp(scalar):
    return int.from_bytes(scalar, "little") & (2**254 - 8) | 2**254


def x25519(scalar, point):
    """RFC 7748, section 5."""
    k, u = clamp(scalar), int.from_bytes(point, "little") & (2**255 - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in reversed(range(255)):
        now = k >> bit & 1
        if swap != now:
            x2, z2, x3, z3 = x3, z3, x2, z2
        swap = now
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % P, c * b % P
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        aa, bb = a * a % P, b * b % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def poly1305(key, text):
    """RFC 8439, section 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(text), 16):
        block = int.from_bytes(text[at : at + 16] + b"\1", "little")
        total = (total + block) * r % (2**130 - 5)
    total += int.from_bytes(key[16:32], "little")
    return (total & (2**128 - 1)).to_bytes(16, "little")


def tag(key, nonce, aad, sealed):
    pad = lambda text: text + bytes(-len(text) % 16)
    lengths = struct.pack("<QQ", len(aad), len(sealed))
    return poly1305(chacha20(key, 32, nonce), pad(aad) + pad(sealed) + lengths)


def stream(key, nonce, length):
    """The keystream that encrypts: after the block of the tag's key."""
    return chacha20(key, 64 + length, nonce)[64:]


def expand(prk, info, length):
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()[:length]


def layer_keys(secret, alpha, onion, relay, epoch):
    prk = hmac.new(b"whisht/1/cell", secret, hashlib.sha256).digest()
    bound = alpha + onion + relay + struct.pack(">I", epoch)
    labels = ("header", "body", "blind", "keep-f", "keep-b")
    return {label: expand(prk, b"whisht/1/" + label.encode() + bound, 32) for label in labels}


def seal_setup(version, layers, delta, random):
    """The cell as each relay receives it."""
    count = len(layers)
    filler = b""
    for layer in layers[:-1]:
        filler = xor(filler + bytes(36), layer["stream"][252 - len(filler) - 36 :])
    # A terminal slot with the flags terminal and keep, and no delay.
    plain = random[:16] + bytes([0, 0, 3, 0]) + random[20:]
    beta = xor(plain, layers[-1]["stream"][: len(plain)]) + filler
    cells, gamma = [], None
    for place in reversed(range(count)):
        layer = layers[place]
        if gamma is not None:
            slot = layers[place + 1]["relay"][:16] + bytes([0, 0, 2, 0]) + gamma
            beta = xor(slot + beta[:180], layer["stream"][:216])
        delta = xor(delta, stream(layer["body"], bytes(12), 647))
        gamma = tag(layer["body"], bytes(12), version + layer["alpha"] + beta, delta)
        cells.append(version + layer["alpha"] + gamma + beta + delta)
    return cells[::-1]


def circuit_id(cell, direction):
    found = hashlib.sha256(b"whisht/1/circuit/id" + cell + bytes([direction])).digest()[:4]
    return bytes([0, 0, 0, 1]) if found == bytes(4) else found


def seal(key, counter, body):
    nonce = struct.pack(">IQ", 0, counter)
    sealed = xor(body[:892], stream(key, nonce, 892))
    return tag(key, nonce, b"", sealed) + sealed


def open_(key, counter, body):
    """What a relay sends on: without its layer, with 16 bytes of the stream at the end."""
    nonce = struct.pack(">IQ", 0, counter)
    assert tag(key, nonce, b"", body[16:]) == body[:16]
    return xor(body[16:] + bytes(16), stream(key, nonce, 908))


def forward(keys, counter, payload, random):
    """The body on each link. A relay drops nothing, so the origin takes the end of the body at each
    relay from what the relays before it append."""
    end = b""
    for key in keys[:-1]:
        nonce = struct.pack(">IQ", 0, counter)
        end = xor(end + bytes(16), stream(key, nonce, 908)[908 - len(end) - 16 :])
    nonce = struct.pack(">IQ", 0, counter)
    end = xor(end, stream(keys[-1], nonce, 892)[892 - len(end) :])
    body = payload + random + end
    for key in reversed(keys):
        body = seal(key, counter, body)
    bodies = [body]
    for key in keys:
        body = open_(key, counter, body)
        bodies.append(body)
    assert bodies[-1][:812] == payload
    return bodies[:-1]


def backward(keys, counter, payload):
    """The body on each link, from the last relay on."""
    bodies = []
    body = payload + bytes(80)
    for key in reversed(keys):
        body = seal(key, counter, body)
        bodies.append(body)
    return bodies


def case(count):
    name = f"circuit of {count}"
    epoch = 41_000 + count
    version = bytes([0x10 | epoch & 15])
    x = named(f"{name}/x", 32)
    delta = bytearray(named(f"{name}/delta", 647))
    cookie = named(f"{name}/cookie", 20)
    delta[19] = 3
    delta[20:40] = cookie
    random = named(f"{name}/random", 36 * (7 - count))
    layers, blinds = [], []
    for place in range(count):
        secret = named(f"{name}/onion secret {place}", 32)
        relay = named(f"{name}/relay {place}", 32)
        onion = x25519(secret, b"\x09" + bytes(31))
        alpha = x25519(x, b"\x09" + bytes(31))
        for blind in blinds:
            alpha = x25519(blind, alpha)
        keys = layer_keys(x25519(secret, alpha), alpha, onion, relay, epoch)
        blinds.append(keys["blind"])
        keys |= {"secret": secret, "relay": relay, "onion": onion, "alpha": alpha}
        keys["stream"] = chacha20(keys["header"], 252)
        layers.append(keys)
    cells = seal_setup(version, layers, bytes(delta), random)
    forth = [layer["keep-f"] for layer in layers]
    back = [layer["keep-b"] for layer in layers]
    exchanges = []
    for counter in range(2):
        payload = named(f"{name}/payload {counter}", 812)
        answer = named(f"{name}/answer {counter}", 812)
        fresh = named(f"{name}/fresh {counter}", 80 - 16 * (count - 1))
        exchanges.append(
            {
                "counter": counter,
                "payload": payload.hex(),
                "random": fresh.hex(),
                "forward": [body.hex() for body in forward(forth, counter, payload, fresh)],
                "answer": answer.hex(),
                "backward": [body.hex() for body in backward(back, counter, answer)],
            }
        )
    return {
        "name": name,
        "epoch": epoch,
        "x": x.hex(),
        "random": random.hex(),
        "cookie": cookie.hex(),
        "delta": delta.hex(),
        "layers": [
            {
                "relay_id": layer["relay"].hex(),
                "onion_secret": layer["secret"].hex(),
                "onion_public": layer["onion"].hex(),
                "keep_f": layer["keep-f"].hex(),
                "keep_b": layer["keep-b"].hex(),
                "cell": cell.hex(),
                "id_forward": circuit_id(cell, 0).hex(),
                "id_backward": circuit_id(cell, 1).hex(),
            }
            for layer, cell in zip(layers, cells, strict=True)
        ],
        "exchanges": exchanges,
    }


with open("circuit.json", "w", encoding="ascii") as file:
    json.dump([case(count) for count in range(1, 7)], file, indent=1)
    file.write("\n")
