/** The receivers of the fan-out benchmark: `fan-out-clients.ts PORT COUNT`. Counts bytes; every 20th reads the times too. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

const [port = 0, count = 0] = process.argv.slice(2).map(Number)
let bytes = 0
let latenciesMs: number[] = []

function readTimes(data: Buffer): void {
  const nowNs = process.hrtime.bigint()
  for (
    let at = data.indexOf('"t":"');
    at !== -1 && at + 25 <= data.length;
    at = data.indexOf('"t":"', at + 25)
  )
    latenciesMs.push(Number(nowNs - BigInt(data.toString('latin1', at + 5, at + 25))) / 1e6)
}

async function open(at: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.write(
    'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  )
  await once(socket, 'data')
  socket.on('data', (data: Buffer) => {
    bytes += data.length
    if (at % 20 === 0) readTimes(data)
  })
  return socket
}

/** When nothing has come for a moment: what arrived since the last answer. */
async function answer(): Promise<void> {
  for (let last = -1; last !== bytes;) {
    last = bytes
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  const sorted = latenciesMs.toSorted((a, b) => a - b)
  const part = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  process.send?.({ bytes, p50Ms: part(0.5), p99Ms: part(0.99) })
  bytes = 0
  latenciesMs = []
}

for (let at = 0; at < count; at += 50)
  await Promise.all(Array.from({ length: Math.min(50, count - at) }, async (_, next) => open(at + next)))
process.on('message', () => void answer())
process.send?.('open')
