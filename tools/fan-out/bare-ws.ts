/**
 * Controls on the `ws` library, with nothing around it. `/ws?<room>` chooses the room. FAN_OUT_WRITE says how a room gets
 * a message: `send` one `send` for each client; `handle` one frame built once and given to each socket's libuv handle,
 * past everything: as cheap as a Node process can be.
 */
import { once } from 'node:events'
import { Redis } from 'ioredis'
import { type WebSocket, WebSocketServer } from 'ws'
import { listenForLines } from './line-source.ts'

type Send = (payload: Buffer | string) => void

interface WriteRequest {
  oncomplete: () => void
  buffer?: Buffer
}

interface Handle {
  writeBuffer(request: WriteRequest, bytes: Buffer): number
}

interface StreamBinding {
  readonly WriteWrap: new () => WriteRequest
  readonly streamBaseState: Int32Array
  readonly kLastWriteWasAsync: number
}

const rooms = new Map<string, { readonly members: Set<WebSocket>; readonly handles: Set<Handle> }>()
const byHandle = process.env['FAN_OUT_WRITE'] === 'handle'
const redisUrl = process.env['FAN_OUT_REDIS']
const redis = redisUrl === undefined ? undefined : new Redis(redisUrl)
const server = new WebSocketServer({ port: 0, host: '127.0.0.1', backlog: 4096, perMessageDeflate: false })

server.on('connection', (socket, request) => {
  const name = request.url?.split('?', 2)[1] ?? ''
  const room = rooms.get(name) ?? { members: new Set(), handles: new Set() }
  if (!rooms.has(name)) void redis?.subscribe(name)
  rooms.set(name, room)
  const { _handle: handle } = request.socket as unknown as { readonly _handle: Handle }
  room.members.add(socket)
  room.handles.add(handle)
  socket.on('close', () => {
    room.members.delete(socket)
    room.handles.delete(handle)
  })
  socket.on('error', () => {})
})

function createHandleSend(handles: Set<Handle>): Send {
  const { binding } = process as unknown as {
    readonly binding: (this: void, name: string) => StreamBinding
  }
  const { WriteWrap, streamBaseState, kLastWriteWasAsync } = binding('stream_wrap')
  const createRequest = (): WriteRequest => Object.assign(new WriteWrap(), { oncomplete() {} })
  let request = createRequest()
  return (payload) => {
    const bytes = Buffer.from(payload)
    // All messages here have from 126 to 65,535 bytes.
    const frame = Buffer.concat([Buffer.from([0x81, 126, bytes.length >> 8, bytes.length & 255]), bytes])
    for (const handle of handles) {
      handle.writeBuffer(request, frame)
      if (streamBaseState[kLastWriteWasAsync] !== 1) continue
      request.buffer = frame
      request = createRequest()
    }
  }
}

function broadcast(name: string, payload: Buffer | string): void {
  const room = rooms.get(name)
  if (room === undefined) return
  if (byHandle) createHandleSend(room.handles)(payload)
  else for (const socket of room.members) socket.send(payload, { binary: false })
}

redis?.on('message', broadcast)
const ingestPort = await listenForLines(broadcast)
if (server.address() === null) await once(server, 'listening')
const address = server.address()
const port = typeof address === 'object' && address !== null ? address.port : 0
process.stdout.write(`${JSON.stringify({ port, ingestPort })}\n`)
