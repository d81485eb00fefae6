/** A serving process of the fan-out benchmark: `fan-out-server.ts connections|ws.send|socket.write`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import { createConnection, createConnectionRegistry, encodeFrame } from '@gw/connections'
import { fromWebSocket } from '@gw/connections/ws'

export interface FanOutReport {
  readonly frameBytes: number
  readonly cpuSeconds: number
}

const [, , row] = process.argv
const http = createServer()
const server = new WebSocketServer({ server: http, perMessageDeflate: false })
const registry = createConnectionRegistry()
const raw: Socket[] = []
let ids = 0

server.on('connection', (socket, request) => {
  if (row !== 'connections') {
    raw.push(request.socket)
    return
  }
  const connection = createConnection({
    id: String(ids++),
    socket: fromWebSocket(socket),
    onMessage: () => {},
    onClose: () => {},
  })
  connection.identity = { userId: connection.id }
  registry.register(connection)
})

/** 200 bytes that say when the message was due, in ns of the machine's monotonic clock. */
function messageOf(dueNs: bigint): string {
  return `{"t":"${String(dueNs).padStart(20, '0')}"`.padEnd(199, ' ') + '}'
}

function publish(text: string): void {
  if (row === 'connections') registry.broadcast(encodeFrame(text), 'all')
  else if (row === 'ws.send') for (const socket of server.clients) socket.send(text)
  else {
    const frame = encodeFrame(text)
    for (const socket of raw) socket.write(frame)
  }
}

async function serve({ rate, seconds }: { readonly rate: number; readonly seconds: number }): Promise<void> {
  const stepNs = BigInt(Math.round(1e9 / rate))
  const before = process.cpuUsage()
  let dueNs = process.hrtime.bigint()
  const endNs = dueNs + BigInt(seconds) * 1_000_000_000n
  while (dueNs < endNs) {
    for (const nowNs = process.hrtime.bigint(); dueNs <= nowNs && dueNs < endNs; dueNs += stepNs)
      publish(messageOf(dueNs))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  while ([...server.clients].some(({ bufferedAmount }) => bufferedAmount > 0))
    await new Promise((resolve) => setTimeout(resolve, 5))
  const { user, system } = process.cpuUsage(before)
  const report: FanOutReport = {
    frameBytes: encodeFrame(messageOf(0n)).length,
    cpuSeconds: (user + system) / 1e6,
  }
  process.send?.(report)
}

http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(http, 'listening')
const address = http.address()
process.on('message', (message: { rate: number; seconds: number }) => void serve(message))
process.send?.({ port: typeof address === 'object' && address !== null ? address.port : 0 })
