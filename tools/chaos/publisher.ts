/** A backend that publishes numbered messages by gRPC: one after the other, each again with its key until it is accepted. */
import { setTimeout as pause } from 'node:timers/promises'
import { join } from 'node:path'
import { Client, credentials } from '@grpc/grpc-js'
import { loadSync, type MethodDefinition } from '@grpc/proto-loader'
import { root } from '../lib/workspace.ts'
import { between, type Random } from './random.ts'
import type { Accepted } from './verdict.ts'

type Publish = MethodDefinition<object, object>

/** The gateway's own contract, read as a backend in any language would. */
function loadPublish(): Publish {
  const loaded = loadSync(join(root, 'apps/gateway/proto/gateway/v1/publisher.proto'), { longs: Number })
  const service = loaded['gateway.v1.PublisherService']
  if (service === undefined || !('Publish' in service)) throw new Error('publisher.proto has no Publish')
  return service['Publish']
}

export interface PublisherOptions {
  /** Internal ports of the gateways that run now; asked before each attempt. */
  readonly ports: () => readonly number[]
  readonly tableId: string
  readonly name: string
  readonly random: Random
  /** Mean time from one message to the next. */
  readonly everyMs: number
  /** Characters of text in a message. Default 100. */
  readonly textLength?: number
}

/** Runs from its creation to `stop`. */
export interface Publisher {
  readonly accepted: readonly Accepted[]
  /** Attempts that failed and were made again. */
  readonly retries: number
  /** Ends after the message that is on its way, which is tried for 30 s; throws when it was never accepted. */
  stop(): Promise<void>
}

const attemptTimeoutMs = 2500
const giveUpMs = 30_000

/** Starts to publish to `chat:tableId`. */
export function startPublisher(options: PublisherOptions): Publisher {
  const { ports, tableId, name, random, everyMs, textLength = 100 } = options
  const method = loadPublish()
  const clients = new Map<number, Client>()
  const accepted: Accepted[] = []
  const stopped = new AbortController()
  let retries = 0

  function clientOf(port: number): Client {
    const known = clients.get(port)
    if (known) return known
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
    })
    clients.set(port, client)
    return client
  }

  async function attempt(port: number, request: object): Promise<Record<string, unknown>> {
    const answer = await new Promise<object | undefined>((resolve, reject) => {
      clientOf(port).makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        { deadline: Date.now() + attemptTimeoutMs },
        (error, value) => (error ? reject(error) : resolve(value)),
      )
    })
    return { ...answer }
  }

  async function publish(id: string): Promise<Accepted> {
    const message = {
      id,
      userId: name,
      username: name,
      text: 'x'.repeat(textLength),
      ts: new Date(0).toISOString(),
    }
    const request = {
      channel: `chat:${tableId}`,
      payloadJson: Buffer.from(JSON.stringify({ type: 'ChatMessage', tableId, message })),
      idempotencyKey: `${tableId}-${id}`,
    }
    const late = Date.now() + giveUpMs
    let failure: unknown
    while (Date.now() < late) {
      const known = ports()
      const port = known[Math.floor(random() * known.length)]
      try {
        if (port === undefined) throw new Error('no gateway runs')
        const { epoch, seq } = await attempt(port, request)
        return { id, epoch: String(epoch), seq: Number(seq) }
      } catch (error) {
        failure = error
        retries++
        await pause(between(random, 20, 120))
      }
    }
    throw new Error(`${id} was not accepted within ${giveUpMs} ms`, { cause: failure })
  }

  const running = (async () => {
    for (let at = 0; !stopped.signal.aborted; at++) {
      accepted.push(await publish(`${name}-${at}`))
      await pause(between(random, 0, 2 * everyMs))
    }
  })()
  // Reported by `stop`; a failure before it must not end the process.
  running.catch(() => {})

  return {
    accepted,
    get retries() {
      return retries
    },
    async stop() {
      stopped.abort()
      try {
        await running
      } finally {
        for (const client of clients.values()) client.close()
      }
    },
  }
}
