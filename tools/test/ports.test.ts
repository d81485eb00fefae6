import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { describeTaken, takenPorts } from '../lib/ports.ts'

test('a port with a listener is taken, a closed one is free', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const wanted = [{ port, variable: 'PORT', owner: 'the gateway' }]
  const [taken] = await takenPorts(wanted, '127.0.0.1')
  expect(taken).toMatchObject({ port, reason: 'EADDRINUSE' })
  server.close()
  await once(server, 'close')
  expect(await takenPorts(wanted, '127.0.0.1')).toEqual([])
})

test('the sentence names the port, its user, and how to move it', () => {
  const text = describeTaken({ port: 4000, variable: 'PORT', owner: 'the gateway', reason: 'EADDRINUSE' })
  expect(text).toMatch(/Port 4000 for the gateway is in use.*`PORT=5000 npm start`/)
})
