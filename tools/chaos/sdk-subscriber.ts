/** What an application sees that uses the SDK: its reconnects, its resume, its gaps. */
import { setTimeout as pause } from 'node:timers/promises'
import { createClient, type WebSocketConstructor } from '@gw/client'
import { nowhere, type Subscriber, type SubscriberOptions } from './raw-subscriber.ts'
import { type Place, Track } from './track.ts'

/** Connects and subscribes; resolves when the first answer is there. */
export async function startSdkSubscriber(options: SubscriberOptions): Promise<Subscriber> {
  const { name, url, token, tableId, random } = options
  const channel = `chat:${tableId}`
  const track = new Track(name)
  const closes: number[] = []
  let held = false
  const client = createClient({
    url: () => (held ? nowhere : url()),
    token,
    random,
    WebSocket: globalThis.WebSocket satisfies WebSocketConstructor,
    backoff: { baseMs: 200, maxMs: 1000 },
    requestTimeoutMs: 30_000,
    connectTimeoutMs: 5000,
  })
  client.on('ChatMessage', ({ channel: where, epoch, seq, message }) => {
    if (where === channel && epoch !== undefined && seq !== undefined)
      track.add({ kind: 'message', epoch, seq, id: message.id })
  })
  client.on('Resumed', ({ channels }) => {
    const result = channels[channel]
    if (!result || 'error' in result || !result.recovered) return
    track.add({ kind: 'recovered', place: { epoch: result.epoch, seq: result.seq } })
  })
  client.on('gap', ({ channel: where, reason }) => {
    // A hole is filled before anything after it is handed on: no news to the application.
    if (where === channel && reason !== 'hole') track.add({ kind: 'reset', reason })
  })
  client.on('lost', ({ channel: where, code }) => {
    if (where !== channel || client.state === 'closed') return
    // Refused for the moment, not lost: an application asks again from where it stands.
    const isPassing = code === 'unavailable' || code === 'timeout'
    if (!isPassing) track.add({ kind: 'reset', reason: `lost: ${code}` })
    void subscribe(isPassing ? track.last : undefined)
  })
  client.on('state', ({ code }) => {
    if (code !== undefined) closes.push(code)
  })

  async function subscribe(since?: Place): Promise<boolean> {
    const result = await client.request({ type: 'SubscribeChat', tableId, ...(since && { since }) })
    const { epoch, seq, recovered } = result.ok ? result.reply : {}
    if (epoch === undefined || seq === undefined) {
      if (client.state === 'closed') return false
      await pause(200)
      return subscribe(since)
    }
    const place = { epoch, seq }
    if (!track.last) track.add({ kind: 'joined', place })
    else if (since)
      track.add(recovered ? { kind: 'recovered', place } : { kind: 'reset', reason: 'not_recovered', place })
    return true
  }

  await client.connect()
  if (!(await subscribe())) throw new Error(`${name} could not subscribe`)
  return {
    track,
    closes,
    hold() {
      held = true
      client.reconnect()
    },
    release() {
      held = false
    },
    async close() {
      client.close()
    },
  }
}
