// The Whisper client of web3, led by a test.
//
//   node client.mjs PACKAGE http URL [TOKEN]
//   node client.mjs PACKAGE ws   URL [TOKEN]
//   node client.mjs PACKAGE ipc  PATH
//
// PACKAGE is `web3`, or `web3-shh` for the Whisper part by itself. Without TOKEN no header is sent:
// the URL may carry it. Reads orders from standard input and answers on standard output, one JSON
// object a line each:
//
//   {"id":1,"call":"shh.newKeyPair","args":[]}   a method of the client, by its path
//   {"id":2,"subscribe":{..}}                    shh.subscribe('messages', ..); its id is the result
//   {"id":3,"unsubscribe":"0x.."}
//   {"id":4,"batch":[["shh.getVersion",[]],..]}  web3 only; a list of results
//
//   {"id":1,"result":..}  or  {"id":1,"error":TEXT}
//   {"subscription":"0x..","message":{..}}       of its own accord
//   {"closed":true}                              the node has hung up
//
// Ends when standard input does.

import net from 'node:net'
import readline from 'node:readline'

import Web3 from 'web3'
import Shh from 'web3-shh'

const [name, transport, address, token] = process.argv.slice(2)

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

function provider() {
  const headers = token ? [{ name: 'Authorization', value: `Bearer ${token}` }] : []
  switch (transport) {
    case 'http':
      return new Web3.providers.HttpProvider(address, { headers })
    case 'ws': {
      const entries = headers.map(({ name, value }) => [name, value])
      return new Web3.providers.WebsocketProvider(address, { headers: Object.fromEntries(entries) })
    }
    case 'ipc':
      return new Web3.providers.IpcProvider(address, net)
    default:
      throw new Error(`no transport ${transport}`)
  }
}

const chosen = provider()
const client = name === 'web3' ? new Web3(chosen) : { shh: new Shh(chosen) }
if (name === 'web3') {
  // As web3's documentation says how to add what it lacks.
  const methods = [
    { name: 'addPeer', call: 'admin_addPeer', params: 1 },
    { name: 'peers', call: 'admin_peers', params: 0 },
    { name: 'nodeInfo', call: 'admin_nodeInfo', params: 0 },
  ]
  client.extend({ property: 'admin', methods })
}
if (transport === 'ws') {
  chosen.on('close', () => say({ closed: true }))
  // Without a listener the library throws.
  chosen.on('error', () => {})
}

const subscriptions = new Map()

// A method and the object that it belongs to.
function find(path) {
  const parts = path.split('.')
  const last = parts.pop()
  const owner = parts.reduce((owner, part) => owner[part], client)
  return [owner, last]
}

function call(path, args) {
  const [owner, method] = find(path)
  return owner[method](...args)
}

function subscribe(criteria) {
  return new Promise((resolve, reject) => {
    const subscription = client.shh.subscribe('messages', criteria)
    subscription.on('connected', (id) => {
      subscriptions.set(id, subscription)
      resolve(id)
    })
    subscription.on('data', (message) => say({ subscription: subscription.id, message }))
    subscription.on('error', reject)
  })
}

function unsubscribe(id) {
  const subscription = subscriptions.get(id)
  if (!subscription) {
    // Of another connection: the client has no object for it.
    return client.shh.unsubscribe(id)
  }
  subscriptions.delete(id)
  return new Promise((resolve, reject) => {
    subscription.unsubscribe((error, result) => (error ? reject(error) : resolve(result)))
  })
}

function batch(calls) {
  const batch = new client.BatchRequest()
  const answers = calls.map(([path, args]) => {
    const [owner, method] = find(path)
    return new Promise((resolve) => {
      const done = (error, result) => resolve(error ? { error: error.message } : { result })
      batch.add(owner[method].request(...args, done))
    })
  })
  batch.execute()
  return Promise.all(answers)
}

function obey(order) {
  if (order.call) return call(order.call, order.args)
  if (order.subscribe) return subscribe(order.subscribe)
  if (order.unsubscribe) return unsubscribe(order.unsubscribe)
  return batch(order.batch)
}

const orders = readline.createInterface({ input: process.stdin })
orders.on('line', async (line) => {
  const order = JSON.parse(line)
  try {
    say({ id: order.id, result: await obey(order) })
  } catch (error) {
    say({ id: order.id, error: String(error?.message ?? error) })
  }
})
orders.on('close', () => process.exit(0))
