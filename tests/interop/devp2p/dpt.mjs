// A node of discovery made of @ethereumjs/devp2p, for tests that need somebody else's.
//
//   node dpt.mjs [HOST PORT]      asks the node there first
//
// Listens on loopback at a free port. Tells on standard output what it sees, one JSON object a line:
//
//   {"event":"listening","enode":URL}
//   {"event":"added","id":HEX}        a node that answered from where it was said to be
//
// Ends when standard input ends. Errors of single packets are not told: a node that is asked often
// is asked in vain now and then.

import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'

import { Common, Mainnet } from '@ethereumjs/common'
import { DPT } from '@ethereumjs/devp2p'

const HOST = '127.0.0.1'
const say = (event) => process.stdout.write(JSON.stringify(event) + '\n')
const hex = (bytes) => Buffer.from(bytes).toString('hex')

// A port that is free for TCP just now; for UDP it is as likely to be.
const port = await new Promise((resolve) => {
  const probe = createServer().listen(0, HOST, () => {
    const { port } = probe.address()
    probe.close(() => resolve(port))
  })
})

const dpt = new DPT(randomBytes(32), {
  common: new Common({ chain: Mainnet }),
  endpoint: { address: HOST, udpPort: port, tcpPort: port },
  refreshInterval: 5000,
  timeout: 1000,
})
dpt.events.on('error', () => {})
dpt.events.on('listening', () => {
  say({ event: 'listening', enode: `enode://${hex(dpt.id)}@${HOST}:${port}` })
  const [host, first] = process.argv.slice(2)
  if (host) dpt.bootstrap({ address: host, udpPort: Number(first), tcpPort: Number(first) })
})
dpt.events.on('peer:added', (peer) => say({ event: 'added', id: hex(peer.id) }))
dpt.bind(port, HOST)

process.stdin.on('end', () => {
  dpt.destroy()
  process.exit(0)
})
process.stdin.resume()
