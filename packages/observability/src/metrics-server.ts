import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Metrics } from './metrics.ts'
import { requireOption } from './errors.ts'
import { openMetricsType } from './exemplars.ts'

/** Options of `createMetricsServer`. */
export interface MetricsServerOptions {
  /** Without `openMetrics` every scraper gets the text format; `ready` is only needed with `health`. */
  readonly metrics: Pick<Metrics, 'text'> & Partial<Pick<Metrics, 'openMetrics' | 'ready'>>
  /** Default `0.0.0.0`: Prometheus scrapes from another host. Keep the port off the public network. */
  readonly host?: string
  /** 0 takes a free one. */
  readonly port: number
  /** Asked at each scrape and shown as `ready`. False when it throws or takes longer than half of `deadlineMs`. */
  readonly health?: () => boolean | Promise<boolean>
  /** For one scrape as a whole; then 503. Default 5000. */
  readonly deadlineMs?: number
}

/** A listener of its own, so that scrapes work while the public port is drained. */
export interface MetricsServer {
  /** Resolves with the port. Rejects when it is taken. */
  readonly listen: () => Promise<number>
  /** Ends open connections too. Idempotent. */
  readonly close: () => Promise<void>
}

const textType = 'text/plain; version=0.0.4; charset=utf-8'
const maxConnections = 32

/**
 * Serves `GET /metrics` and nothing else (404, 405): the text format, or OpenMetrics for a scraper that accepts it, as
 * Prometheus does. Throws `invalid_option`.
 */
export function createMetricsServer(options: MetricsServerOptions): MetricsServer {
  const { metrics, host = '0.0.0.0', port, health, deadlineMs = 5000 } = options
  requireOption(Number.isInteger(port) && port >= 0 && port <= 65_535, 'port must be 0 to 65535')
  requireOption(deadlineMs > 0, 'deadlineMs must be above 0')
  // Scrapes that overlap share one rendering: many scrapers cost as much as one.
  const running = new Map<'text' | 'openMetrics', Promise<string>>()
  const render = async (format: 'text' | 'openMetrics'): Promise<string> => {
    // The other half of the time is for the rendering: a scrape that says 0 is worth more than none.
    if (health) metrics.ready?.set((await isHealthy(health, deadlineMs / 2)) ? 1 : 0)
    return (metrics[format] ?? metrics.text)()
  }
  const scrape = (format: 'text' | 'openMetrics'): Promise<string> => {
    // The deadline is of what is shared: a rendering that hangs must not hold the scrapes behind it.
    const shared =
      running.get(format) ?? withDeadline(render(format), deadlineMs).finally(() => running.delete(format))
    running.set(format, shared)
    return shared
  }

  const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = (request.url ?? '').split('?', 1)[0]
    if (path !== '/metrics') return end(response, 404, 'Not found\n')
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      return end(response, 405, 'Method not allowed\n')
    }
    try {
      const openMetrics =
        metrics.openMetrics !== undefined &&
        (request.headers.accept?.includes('application/openmetrics-text') ?? false)
      const text = await scrape(openMetrics ? 'openMetrics' : 'text')
      response.setHeader('Content-Type', openMetrics ? openMetricsType : textType)
      response.setHeader('Vary', 'Accept')
      response.writeHead(200).end(request.method === 'HEAD' ? undefined : text)
    } catch {
      end(response, 503, 'Metrics are not available\n')
    }
  }

  const server = createServer(
    { requestTimeout: deadlineMs, headersTimeout: deadlineMs },
    (request, response) => {
      void respond(request, response)
    },
  )
  server.maxConnections = maxConnections
  server.setTimeout(deadlineMs * 2, (socket) => socket.destroy())
  let closed: Promise<void> | undefined

  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.removeListener('error', reject)
          const address = server.address()
          resolve(address !== null && typeof address === 'object' ? address.port : port)
        })
      }),
    close: () => {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    },
  }
}

async function isHealthy(health: () => boolean | Promise<boolean>, deadlineMs: number): Promise<boolean> {
  try {
    return await withDeadline(Promise.resolve(health()), deadlineMs)
  } catch {
    return false
  }
}

function end(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(body)
}

function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('deadline')), deadlineMs)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
