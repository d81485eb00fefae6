import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Answer = (request: IncomingMessage, response: ServerResponse) => void

/** A real HTTP server whose answer can be switched, and that counts what it is asked. */
export interface JsonServer extends AsyncDisposable {
  readonly url: string
  /** Requests so far, by path. */
  readonly hits: ReadonlyMap<string, number>
  total(): number
  answer: Answer
}

export function sendJson(value: unknown): Answer {
  return (_request, response) => {
    response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
  }
}

/** Accepts the request and never answers. */
export function hang(): void {}

export async function startJsonServer(answer: Answer): Promise<JsonServer> {
  const hits = new Map<string, number>()
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    hits.set(path, (hits.get(path) ?? 0) + 1)
    running.answer(request, response)
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const running: JsonServer = {
    url: `http://127.0.0.1:${port}`,
    hits,
    total: () => [...hits.values()].reduce((sum, count) => sum + count, 0),
    answer,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return running
}
