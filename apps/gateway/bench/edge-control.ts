/** A control row: http-proxy-middleware on Express, nothing else. `keepalive` gives it an agent that reuses connections. */
import { Agent } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'

const [, , target = '', kind] = process.argv
const app = express()
app.disable('x-powered-by')
app.use(
  createProxyMiddleware({
    target,
    ...(kind === 'keepalive' && { agent: new Agent({ keepAlive: true, maxSockets: 128 }) }),
  }),
)
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
