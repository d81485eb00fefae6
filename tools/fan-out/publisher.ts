/**
 * Publishes timed messages of a fixed size until it is stopped, into one room after the other. Open loop: `t` is when the
 * message was due (ns of the monotonic clock), so a publisher that is held up shows as latency. `n` counts in each room.
 *
 *   FAN_OUT_TO  line:PORT      `<room> <payload>` lines    bare:PORT    payload lines
 *               plain:URL      PUBLISH to the room          broker:URL   a backend that uses `@gw/pubsub`
 *               traced:URL     the same, each message in a trace of its own, of which a tenth is sampled
 */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createRedisBroker } from '@gw/pubsub/redis'
import { Redis } from 'ioredis'

const env = (name: string): string => process.env[name] ?? ''
const [, kind = '', where = ''] = /^(\w+):(.*)$/.exec(env('FAN_OUT_TO')) ?? []
const rate = Number(env('FAN_OUT_RATE'))
const rooms = Number(env('FAN_OUT_ROOMS'))
const bytes = Number(env('FAN_OUT_BYTES'))

function newTraceparent(): string {
  return `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-0${Math.random() < 0.1 ? 1 : 0}`
}

function createSend(): (room: string, payload: string) => void {
  switch (kind) {
    case 'line':
    case 'bare': {
      const socket = connect(Number(where), '127.0.0.1').setNoDelay(true)
      return kind === 'line'
        ? (room, payload) => void socket.write(`${room} ${payload}\n`)
        : (_room, payload) => void socket.write(`${payload}\n`)
    }
    case 'plain': {
      const client = new Redis(where)
      return (room, payload) => void client.publish(room, payload)
    }
    case 'broker':
    case 'traced': {
      const broker = createRedisBroker({
        client: new Redis(where),
        // As the gateway keeps chats.
        classes: [{ prefix: 'chat:', kind: 'event', historySize: 500, historyMaxAgeMs: 3_600_000 }],
      })
      return (room, payload) =>
        void broker
          .publish(`chat:${room}`, payload, kind === 'traced' ? { traceparent: newTraceparent() } : {})
          .catch((error: unknown) => {
            console.error(error)
          })
    }
    default:
      throw new Error(`FAN_OUT_TO has an unknown kind: ${kind}`)
  }
}

const send = createSend()
// Connected by then, and the sender's own code compiled.
await pause(300)
const stepNs = 1e9 / rate
const startNs = process.hrtime.bigint()
for (let at = 0; ;) {
  for (
    let dueNs = startNs + BigInt(Math.round(at * stepNs));
    dueNs <= process.hrtime.bigint();
    dueNs = startNs + BigInt(Math.round(at * stepNs))
  ) {
    const n = Math.floor(at / rooms) + 1
    const head = `{"type":"ChatMessage","n":${n},"t":${dueNs},"text":"`
    send(`room-${at % rooms}`, `${head.padEnd(bytes - 2, 'x')}"}`)
    at++
  }
  await pause(1)
}
