/** Control: Socket.IO with its Redis adapter, `io.to(room).emit` for each message. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createAdapter } from '@socket.io/redis-adapter'
import { Redis } from 'ioredis'
import { Server } from 'socket.io'
import { listenForLines } from './line-source.ts'

const http = createServer()
const publisher = new Redis(process.env['FAN_OUT_REDIS'] ?? '')
const io = new Server(http, { adapter: createAdapter(publisher, publisher.duplicate()) })

io.on('connection', (socket) => {
  socket.on('join', (room: unknown) => {
    void socket.join(String(room))
    socket.emit('joined')
  })
})

const ingestPort = await listenForLines((room, payload) => io.to(room).emit('message', payload.toString()))
http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(http, 'listening')
const address = http.address()
const port = typeof address === 'object' && address !== null ? address.port : 0
process.stdout.write(`${JSON.stringify({ port, ingestPort })}\n`)
