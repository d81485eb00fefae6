/** HTTP and WebSocket as bytes: what no well-behaved client would send. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface RawOptions {
  /** The gateway's URL. */
  readonly url: string
  /** Another loopback address to come from, e.g. `127.0.0.2`. */
  readonly from?: string
}

/** Opens a connection; errors of it are silent, since the peer may cut at any moment. */
export function rawSocket({ url, from }: RawOptions): Socket {
  const socket = connect({
    port: Number(new URL(url).port),
    host: '127.0.0.1',
    ...(from !== undefined && { localAddress: from }),
  })
  socket.on('error', () => {})
  return socket
}

/** Sends the bytes, reads until the server ends the connection; latin1, a byte a character. */
export async function raw(bytes: string | Buffer, options: RawOptions): Promise<string> {
  const socket = rawSocket(options)
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  socket.write(bytes)
  await once(socket, 'close')
  return Buffer.concat(chunks).toString('latin1')
}

/** The status codes of all answers in what came back. */
export function statuses(answer: string): readonly string[] {
  return [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => status ?? '')
}

/** The value of a header field in a raw answer. */
export function fieldOf(answer: string, name: string): string | undefined {
  return new RegExp(`^${name}: *(.*?)\r$`, 'im').exec(answer)?.[1]
}

/** A WebSocket handshake with the given extra fields, each ended by CRLF. */
export function handshake(fields = ''): string {
  const key = Buffer.alloc(16).toString('base64')
  return (
    'GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${fields}\r\n`
  )
}

/** Sends a handshake and reads its answer; the connection stays open where it was accepted. */
export async function open(
  options: RawOptions,
  fields = '',
): Promise<{ readonly status: string; readonly answer: string; readonly socket: Socket }> {
  const socket = rawSocket(options)
  socket.write(handshake(fields))
  const [head] = (await Promise.race([
    once(socket, 'data'),
    once(socket, 'close').then(() => [Buffer.alloc(0)]),
  ])) as [Buffer]
  const answer = head.toString('latin1')
  return { status: statuses(answer)[0] ?? '', answer, socket }
}
