// A Whisper peer made of @ethereumjs/devp2p, for tests that need somebody else's RLPx.
//
//   node peer.mjs listen HOST PORT          [--speak 5] [--client NAME] [--send CODE=HEX]...
//   node peer.mjs dial   HOST PORT ENODE    [--speak 5] [--client NAME] [--send CODE=HEX]...
//
// Port 0 is any free one; ENODE is a URL, or the bare key; NAME is what the hello says.
// Speaks shh/6, or with --speak 5 nothing but shh/5: sends a status as soon as the link is open, and
// the packets given by --send (code of shh, payload in RLP) when the other side's status has come. Tells on standard output what it
// sees, one JSON object a line:
//
//   {"event":"listening","enode":URL}
//   {"event":"open","id":HEX,"client":TEXT,"version":N,"capabilities":["shh/6",..]}
//   {"event":"packet","code":N,"payload":HEX}      inflated, still RLP
//   {"event":"closed","reason":N or null,"by":"us" or "them" or null}
//   {"event":"error","text":TEXT}
//
// Ends when the link has closed, and says goodbye when standard input ends. The library reads one
// byte as the message code, so packets from 112 on arrive garbled here; sending them works.

import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'

import { Common, Mainnet } from '@ethereumjs/common'
import { RLPx } from '@ethereumjs/devp2p'
import { RLP } from '@ethereumjs/rlp'
import { EventEmitter } from 'eventemitter3'
import * as snappy from 'snappyjs'

const STATUS = 0

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    client: { type: 'string', default: 'devp2p-js/10.0.0' },
    speak: { type: 'string', default: '6' },
    send: { type: 'string', multiple: true, default: [] },
  },
})
const [mode, host, port, enode] = positionals
const old = values.speak === '5'
const packets = values.send.map((text) => {
  const [code, payload] = text.split('=')
  return { code: Number(code), payload: Buffer.from(payload, 'hex') }
})

const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// The library wants a class for each sub-protocol and makes one object for each link.
class Shh {
  constructor(version, peer, send) {
    this.events = new EventEmitter()
    this.write = (code, payload) => {
      const plain = peer.getHelloMessage().protocolVersion < 5
      send(code, plain ? payload : snappy.compress(payload))
    }
  }

  _handleMessage(code, payload) {
    say({ event: 'packet', code, payload: hex(payload) })
    if (code === STATUS) {
      for (const packet of packets) this.write(packet.code, packet.payload)
    }
  }
}

const rlpx = new RLPx(new Uint8Array(randomBytes(32)), {
  capabilities: [
    { name: 'shh', version: old ? 5 : 6, length: old ? 64 : 128, constructor: Shh },
  ],
  clientId: new TextEncoder().encode(values.client),
  common: new Common({ chain: Mainnet }),
  listenPort: null,
  maxPeers: 1,
})

rlpx.events.on('error', (error) => say({ event: 'error', text: String(error) }))
rlpx.events.on('peer:error', (peer, error) => say({ event: 'error', text: String(error) }))
rlpx.events.on('peer:added', (peer) => {
  const hello = peer.getHelloMessage()
  say({
    event: 'open',
    id: hex(peer.getId()),
    client: hello.clientId,
    version: hello.protocolVersion,
    capabilities: hello.capabilities.map((item) => `${item.name}/${item.version}`),
  })
  // Version, least work 0.2 as the bits of a float, a bloom that lets everything through, full node;
  // in shh/5 the version alone.
  const status = old ? 5 : [6, 0x3fc999999999999an, new Uint8Array(64).fill(0xff), 0]
  peer.getProtocols()[0].write(STATUS, RLP.encode(status))
})
rlpx.events.on('peer:removed', (peer, reason, byUs) => {
  const by = { true: 'us', false: 'them' }[String(byUs)] ?? null
  process.stdout.write(JSON.stringify({ event: 'closed', reason: reason ?? null, by }) + '\n', () =>
    process.exit(0),
  )
})

process.stdin.resume()
process.stdin.on('end', () => {
  rlpx.destroy()
  setTimeout(() => process.exit(0), 3000).unref()
})

if (mode === 'listen') {
  rlpx.events.once('listening', () => {
    const bound = rlpx._server.address().port
    say({ event: 'listening', enode: `enode://${hex(rlpx.id)}@${host}:${bound}` })
  })
  rlpx.listen(Number(port), host)
} else if (mode === 'dial') {
  const id = Uint8Array.from(Buffer.from(enode.replace('enode://', '').split('@')[0], 'hex'))
  rlpx.connect({ id, address: host, tcpPort: Number(port), udpPort: null }).catch((error) => {
    say({ event: 'error', text: String(error) })
    process.exit(1)
  })
} else {
  say({ event: 'error', text: 'the first argument is listen or dial' })
  process.exit(2)
}
