"""Computes contact_conversation.json: an implementation of docs/wire/contact.md, "Conversations", of its own.

python3 tests/vectors/contact_conversation.py > tests/vectors/contact_conversation.json
"""

import hashlib
import hmac
import json


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


def named(label, *numbers):
    """A value that a reader of this file can make again."""
    return h(label.encode(), *(be(n, 8) for n in numbers))


# -- chains, slots, epochs


def step_case(secret, direction, index):
    chain = expand(secret, b"whisht/1/conv/chain" + bytes([direction]), 32)
    for _ in range(index):
        chain = expand(chain, b"whisht/1/conv/next", 32)
    message = expand(chain, b"whisht/1/conv/message", 32)
    return {"direction": direction, "index": index, **key_case(message)}


def slot_case(secret, direction, day, slot):
    root = expand(secret, b"whisht/1/conv/resync/root", 32)
    info = b"whisht/1/conv/resync/slot" + bytes([direction]) + be(day, 4) + bytes([slot])
    return {"direction": direction, "day": day, "slot": slot, **key_case(expand(root, info, 32))}


def key_case(message):
    salt = named("salt")
    topic = lambda j: expand(message, b"whisht/1/conv/topic" + bytes([j]), 4)
    key = lambda j: expand(message, b"whisht/1/conv/key" + bytes([j]) + salt, 32)
    return {
        "message": message.hex(),
        "topics": [topic(j).hex() for j in range(3)],
        "salt": salt.hex(),
        "keys": [key(j).hex() for j in range(3)],
    }


def carry(secret):
    return expand(secret, b"whisht/1/conv/carry", 32)


def next_epoch(secret, shared, offer, accept):
    return expand(extract(carry(secret), shared + offer + accept), b"whisht/1/conv/epoch", 32)


def epoch_cases():
    secret = named("epoch 0")
    for number in range(3):
        case = {"number": number, "secret": secret.hex(), "carry": carry(secret).hex()}
        case["steps"] = [step_case(secret, d, i) for d in (0, 1) for i in (0, 1, 2, 63)]
        case["slots"] = [slot_case(secret, d, 20_833, s) for d in (0, 1) for s in (0, 7)]
        shared, offer, accept = (named(name, number) for name in ("shared", "offer", "accept"))
        secret = next_epoch(secret, shared, offer, accept)
        case["rekey"] = {
            "shared": shared.hex(),
            "offer_seed": offer.hex(),
            "accept_seed": accept.hex(),
            "next": secret.hex(),
        }
        yield case


# -- names, binding, proof


def name_case():
    tau, identity, base = named("tau"), named("identity key"), named("base key")
    conversation = h(b"whisht/1/conv/id", tau, identity, base)
    bind = lambda d: h(b"whisht/1/conv/bind", conversation, bytes([d]))[:16]
    return {
        "tau": tau.hex(),
        "identity_key": identity.hex(),
        "base_key": base.hex(),
        "conversation": conversation.hex(),
        "bind": [bind(d).hex() for d in (0, 1)],
    }


def continuity_case():
    secret, old, new = named("epoch 0"), named("old"), named("new")
    proof = hmac.new(carry(secret), b"whisht/1/conv/continue" + new, hashlib.sha256).digest()
    return {
        "secret": secret.hex(),
        "old": old.hex(),
        "new": new.hex(),
        "proof": proof.hex(),
        "part": part(11, old + proof).hex(),
    }


# -- what stands inside Olm


def part(kind, value):
    return bytes([kind]) + be(len(value), 4) + value


def many(label, n):
    return b"".join(named(label, i) for i in range(-(-n // 32)))[:n]


def talk_offer(relays):
    return named("talk")[:16] + named("talk secret") + bytes([len(relays)]) + b"".join(relays)


def parts():
    """Each kind of part: its name, its type, its value, and the fields that it was made of."""
    relays = [named("relay", i) for i in range(4)]
    text = "Grüße – the papers are in the hedge"
    name, note = "Heron".encode(), "met at the pond".encode()
    person = named("person")
    start = 1_800_000_000
    yield "text", 1, text.encode(), {"text": text}
    yield "offer", 2, be(1, 2) + many("x-wing key", 1216) + named("offer", 0), {"epoch": 1}
    yield "accept", 3, be(1, 2) + many("ciphertext", 1120) + named("accept", 0), {"epoch": 1}
    yield "address", 5, person, {"id": person.hex()}
    yield "file offer", 6, many("file offer", 150), {}
    yield "file answer", 7, named("file")[:16] + bytes([2]), {}
    yield (
        "introduction",
        8,
        person + be(20_833, 4) + bytes([2, len(name)]) + name + be(len(note), 2) + note,
        {"id": person.hex(), "day": 20_833, "how": 2, "name": name.decode(), "note": note.decode()},
    )
    yield "goodbye", 9, b"", {}
    yield "small file", 10, bytes([5]) + b"a.txt" + b"content", {"name": "a.txt", "bytes_of_file": b"content".hex()}
    yield "continuity", 11, named("old") + named("proof"), {}
    yield "given up", 12, be(7, 8), {"below": 7}
    yield "also came", 13, be(90, 8) + be(2**40, 8), {"numbers": [90, 2**40]}
    yield "talk offer", 14, talk_offer(relays[:1]), {"relays": [relays[0].hex()]}
    yield "talk offer", 14, talk_offer(relays), {"relays": [r.hex() for r in relays]}
    yield "talk answer", 15, named("talk")[:16] + bytes([0]), {"start": None}
    yield (
        "talk answer",
        15,
        named("talk")[:16] + bytes([1]) + be(start, 8) + bytes([3]),
        {"start": start, "first_relay": 3},
    )
    yield "skipped", 100, b"of a later version", {}
    yield "needs newer", 200, b"of a later version", {}


def inner(number, ack, bitmap, bind, encoded):
    return bytes([1, 0]) + be(number, 8) + be(ack, 8) + be(bitmap, 4) + bind + encoded


def message_cases():
    bind = bytes.fromhex(name_case()["bind"][0])
    encoded = [part(kind, value) for _, kind, value, _ in parts()]
    for number, ack, bitmap, body in [
        (1, 0, 0, encoded[0]),
        (2**40, 2**40 - 1, 0x80000001, encoded[1] + encoded[0]),
        (7, 3, 0b101, b"".join(encoded)),
        (8, 3, 0, b""),
    ]:
        yield {
            "number": number,
            "ack": ack,
            "bitmap": bitmap,
            "bind": bind.hex(),
            "parts": body.hex(),
            "bytes": inner(number, ack, bitmap, bind, body).hex(),
        }


def refused_cases():
    bind = bytes.fromhex(name_case()["bind"][0])
    other = bytes.fromhex(name_case()["bind"][1])
    text = part(1, b"text")
    good = inner(1, 0, 0, bind, text)
    yield "version", b"\x02" + good[1:]
    yield "flag", good[:1] + b"\x01" + good[2:]
    yield "other direction", inner(1, 0, 0, other, text)
    yield "cut in the head", good[:30]
    yield "cut in a part", good[:-1]
    yield "length beyond the end", inner(1, 0, 0, bind, bytes([1]) + be(5, 4) + b"text")
    yield "text is not UTF-8", inner(1, 0, 0, bind, part(1, b"\xff\xfe"))
    yield "address of 31 bytes", inner(1, 0, 0, bind, part(5, bytes(31)))
    yield "goodbye with a value", inner(1, 0, 0, bind, part(9, b"x"))
    yield "offer with a byte more", inner(1, 0, 0, bind, part(2, bytes(1251)))
    yield "number in an introduction", inner(
        1, 0, 0, bind, part(8, named("person") + be(1, 4) + bytes([3, 0]) + be(0, 2))
    )
    yield "name beyond 64 bytes", inner(
        1, 0, 0, bind, part(8, named("person") + be(1, 4) + bytes([0, 65]) + b"n" * 65 + be(0, 2))
    )
    yield "nine numbers that also came", inner(1, 0, 0, bind, part(13, bytes(72)))
    yield "sixty-five parts", inner(1, 0, 0, bind, part(9, b"") * 65)


def refused_talk_cases():
    relay = named("relay", 0)
    yield "talk offer", "no relay", talk_offer([])
    yield "talk offer", "one relay twice", talk_offer([relay, relay])
    yield "talk offer", "five relays", talk_offer([named("relay", i) for i in range(5)])
    yield "talk offer", "cut", talk_offer([relay])[:-1]
    yield "talk offer", "a byte more", talk_offer([relay]) + b"\0"
    answer = lambda rest: named("talk")[:16] + rest
    yield "talk answer", "verdict", answer(bytes([2]))
    yield "talk answer", "start within a window", answer(bytes([1]) + be(1_800_000_001, 8) + b"\0")
    yield "talk answer", "fifth relay", answer(bytes([1]) + be(1_800_000_000, 8) + bytes([4]))
    yield "talk answer", "declined with a start", answer(bytes([0]) + be(1_800_000_000, 8))


def main():
    vectors = {
        "epochs": list(epoch_cases()),
        "names": [name_case()],
        "continuity": [continuity_case()],
        "parts": [
            {"part": name, "type": kind, "value": value.hex(), "bytes": part(kind, value).hex(), **fields}
            for name, kind, value, fields in parts()
        ],
        "messages": list(message_cases()),
        "refused_messages": [
            {"what": what, "bind": name_case()["bind"][0], "bytes": data.hex()}
            for what, data in refused_cases()
        ],
        "refused_talk": [
            {"part": name, "what": what, "value": value.hex()}
            for name, what, value in refused_talk_cases()
        ],
    }
    print(json.dumps(vectors, indent=1))


main()
