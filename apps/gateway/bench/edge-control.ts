/**
 * A control row: http-proxy-middleware on Express, nothing else, with a new connection for each request (`plain`) or kept ones
 * (`keepalive`); or `node`: no more than Node's own server and client and what passes a request on.
 */
import { Agent, createServer, request as ask, type RequestListener } from 'node:http'
import { pipeline } from 'node:stream'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'

const [, , target = '', kind] = process.argv

function onExpress(agent: Agent | undefined): RequestListener {
  const app = express()
  app.disable('x-powered-by')
  app.use(createProxyMiddleware({ target, ...(agent && { agent }) }))
  return app
}

function bare(agent: Agent): RequestListener {
  const { hostname, port } = new URL(target)
  return (request, response) => {
    const { url: path, method, headers } = request
    const outgoing = ask({ hostname, port, path, method, headers, agent }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, response, (error) => error && response.destroy())
    })
    pipeline(request, outgoing, (error) => error && response.destroy())
  }
}

const kept = new Agent({ keepAlive: true, maxSockets: 128 })
const listener = kind === 'node' ? bare(kept) : onExpress(kind === 'keepalive' ? kept : undefined)
const server = createServer(listener).listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
