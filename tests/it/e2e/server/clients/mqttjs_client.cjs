// Speaks MQTT with MQTT.js to several nodes: PROTOCOL (4 or 5) HOST:PORT HOST:PORT HOST:PORT.
//
// Subscribes at the first node and publishes at the second; the third one holds what comes and goes.
// Prints a line for each thing that worked, and ends with code 1 at the first that did not.
'use strict'

const assert = require('node:assert')
const mqtt = require(process.env.GABLE_MQTTJS)

const PATIENCE = 20000
const LEVEL = Number(process.argv[2])
const NODES = process.argv.slice(3)
const PREFIX = `mqttjs${LEVEL}`

function within(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no ${what} within ${PATIENCE} ms`)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

class Peer {
  static async connect(name, node, options = {}) {
    const peer = new Peer()
    peer.messages = []
    peer.waiting = []
    peer.client = mqtt.connect(`mqtt://${NODES[node]}`, {
      clientId: `${PREFIX}-${name}`,
      protocolVersion: LEVEL,
      reconnectPeriod: 0,
      ...options,
    })
    peer.client.on('message', (topic, payload, packet) => {
      const message = { topic, text: payload.toString(), packet }
      const waiter = peer.waiting.shift()
      if (waiter) waiter(message)
      else peer.messages.push(message)
    })
    peer.connack = await within(
      new Promise((resolve, reject) => {
        peer.client.once('connect', resolve)
        peer.client.once('error', reject)
      }),
      'CONNACK'
    )
    return peer
  }

  async subscribe(topic, options = { qos: 2 }) {
    const granted = await within(this.client.subscribeAsync(topic, options), 'SUBACK')
    assert.strictEqual(granted[0].qos, options.qos)
  }

  publish(topic, text, options = { qos: 1 }) {
    return within(this.client.publishAsync(topic, text, options), `acknowledgement for ${topic}`)
  }

  next() {
    if (this.messages.length > 0) return Promise.resolve(this.messages.shift())
    return within(new Promise((resolve) => this.waiting.push(resolve)), 'message')
  }

  leave() {
    return this.client.endAsync()
  }

  vanish() {
    return new Promise((resolve) => {
      this.client.once('close', resolve)
      this.client.stream.destroy()
    })
  }
}

async function levelsOfService(listener, speaker) {
  await listener.subscribe(`${PREFIX}/qos/#`)
  for (const qos of [0, 1, 2]) {
    await speaker.publish(`${PREFIX}/qos/${qos}`, `at ${qos}`, { qos })
    const message = await listener.next()
    assert.strictEqual(message.topic, `${PREFIX}/qos/${qos}`)
    assert.strictEqual(message.text, `at ${qos}`)
    assert.strictEqual(message.packet.qos, qos)
    assert.strictEqual(message.packet.retain, false)
  }
  const sent = [...Array(100).keys()]
  await Promise.all(sent.map((n) => speaker.publish(`${PREFIX}/qos/many`, String(n), { qos: 2 })))
  const heard = []
  for (const _ of sent) heard.push(Number((await listener.next()).text))
  assert.deepStrictEqual(heard, sent)
  console.log('QoS 0, 1 and 2 across nodes, in order')
}

async function retained(speaker) {
  await speaker.publish(`${PREFIX}/kept`, 'kept', { qos: 1, retain: true })
  const late = await Peer.connect('late', 2)
  await late.subscribe(`${PREFIX}/kept`)
  const message = await late.next()
  assert.strictEqual(message.text, 'kept')
  assert.strictEqual(message.packet.retain, true)
  await speaker.publish(`${PREFIX}/kept`, '', { qos: 1, retain: true })
  await late.leave()
  console.log('retained at one node, read at another, cleared')
}

async function will(listener) {
  await listener.subscribe(`${PREFIX}/will`)
  const last = (payload) => ({ will: { topic: `${PREFIX}/will`, payload, qos: 1 } })
  const lost = await Peer.connect('lost', 2, last('gone'))
  await lost.vanish()
  assert.strictEqual((await listener.next()).text, 'gone')
  const polite = await Peer.connect('polite', 2, last('never'))
  await polite.leave()
  console.log('a will of a client at another node')
}

async function keptSession(speaker) {
  const lasting = { clean: false, ...(LEVEL === 5 && { properties: { sessionExpiryInterval: 300 } }) }
  const sleeper = await Peer.connect('sleeper', 0, lasting)
  assert.strictEqual(sleeper.connack.sessionPresent, false)
  await sleeper.subscribe(`${PREFIX}/sleep`)
  await sleeper.vanish()
  await speaker.publish(`${PREFIX}/sleep`, 'one', { qos: 1 })
  await speaker.publish(`${PREFIX}/sleep`, 'two', { qos: 2 })
  const awake = await Peer.connect('sleeper', 2, lasting)
  assert.strictEqual(awake.connack.sessionPresent, true)
  assert.strictEqual((await awake.next()).text, 'one')
  assert.strictEqual((await awake.next()).text, 'two')
  await awake.leave()
  console.log('a session that was begun at one node goes on at another')
}

async function shared(speaker) {
  const members = []
  for (const node of [0, 1, 2]) members.push(await Peer.connect(`member-${node}`, node))
  for (const member of members) await member.subscribe(`$share/${PREFIX}/${PREFIX}/work`, { qos: 1 })
  const sent = [...Array(60).keys()]
  for (const n of sent) await speaker.publish(`${PREFIX}/work`, String(n))
  for (const member of members) await member.subscribe(`${PREFIX}/end`, { qos: 1 })
  await speaker.publish(`${PREFIX}/end`, 'end')
  const heard = []
  for (const member of members) {
    for (;;) {
      const message = await member.next()
      if (message.topic === `${PREFIX}/end`) break
      heard.push(Number(message.text))
    }
    await member.leave()
  }
  assert.deepStrictEqual(heard.sort((a, b) => a - b), sent)
  console.log('a shared subscription with a member at each node: each message once')
}

async function propertiesPass(listener, speaker) {
  await listener.subscribe(`${PREFIX}/properties`, { qos: 1, properties: { subscriptionIdentifier: 7 } })
  const properties = {
    contentType: 'text/plain',
    responseTopic: `${PREFIX}/answer`,
    correlationData: Buffer.from([0, 1, 255]),
    payloadFormatIndicator: true,
    userProperties: { one: ['1', 'again'], two: '2' },
  }
  await speaker.publish(`${PREFIX}/properties`, 'text', { qos: 1, properties })
  const found = (await listener.next()).packet.properties
  assert.strictEqual(found.contentType, 'text/plain')
  assert.strictEqual(found.responseTopic, `${PREFIX}/answer`)
  assert.deepStrictEqual(found.correlationData, Buffer.from([0, 1, 255]))
  assert.strictEqual(found.payloadFormatIndicator, true)
  assert.deepStrictEqual({ ...found.userProperties }, { one: ['1', 'again'], two: '2' })
  assert.strictEqual(found.subscriptionIdentifier, 7)
  console.log('properties pass through')
}

async function main() {
  const listener = await Peer.connect('listener', 0)
  const speaker = await Peer.connect('speaker', 1)
  await levelsOfService(listener, speaker)
  await retained(speaker)
  await will(listener)
  await keptSession(speaker)
  if (LEVEL === 5) {
    await shared(speaker)
    await propertiesPass(listener, speaker)
  }
  await speaker.publish(`${PREFIX}/will`, 'end')
  assert.strictEqual((await listener.next()).text, 'end')
  await listener.leave()
  await speaker.leave()
  console.log('all')
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
