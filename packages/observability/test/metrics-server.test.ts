import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import {
  createMetrics,
  createMetricsServer,
  type MetricsServer,
  type MetricsServerOptions,
} from '../src/metrics.ts'
import { parseExposition } from '@gw/testing'

interface Running extends AsyncDisposable {
  readonly server: MetricsServer
  readonly port: number
  readonly url: string
}

async function run(options: Partial<MetricsServerOptions> = {}): Promise<Running> {
  const server = createMetricsServer({ metrics: createMetrics(), host: '127.0.0.1', port: 0, ...options })
  const port = await server.listen()
  return { server, port, url: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => server.close() }
}

describe('the metrics server', () => {
  it('serves a scrape that a strict parser reads', async () => {
    await using running = await run()
    const response = await fetch(`${running.url}/metrics?x=1`)
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(parseExposition(await response.text()).has('gateway_ws_active_connections')).toBe(true)
  })

  it.each(['/', '/metrics/', '/health', '/METRICS', '//metrics'])('has nothing at %s', async (path) => {
    await using running = await run()
    expect((await fetch(running.url + path)).status).toBe(404)
  })

  it('answers only reads', async () => {
    await using running = await run()
    const response = await fetch(`${running.url}/metrics`, { method: 'POST', body: 'x' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect(await (await fetch(`${running.url}/metrics`, { method: 'HEAD' })).text()).toBe('')
  })

  it('shows what health says, and 0 when health fails', async () => {
    const answers = [() => true, () => false, () => Promise.reject(new Error('redis'))]
    await using running = await run({ health: () => answers.shift()?.() ?? false })
    const ready = async (): Promise<number | undefined> =>
      parseExposition(await (await fetch(`${running.url}/metrics`)).text()).get('gateway_ready')?.samples[0]
        ?.value
    expect([await ready(), await ready(), await ready()]).toEqual([1, 0, 0])
  })

  it('shows 0 while health hangs, and 1 as soon as it is well again', async () => {
    const answers = [() => new Promise<boolean>(() => {}), () => true]
    await using running = await run({ health: () => answers.shift()?.() ?? false, deadlineMs: 400 })
    const ready = async (): Promise<number | undefined> =>
      parseExposition(await (await fetch(`${running.url}/metrics`)).text()).get('gateway_ready')?.samples[0]
        ?.value
    expect([await ready(), await ready()]).toEqual([0, 1])
  })

  it('gives up a scrape at its deadline, and begins anew with the next one', async () => {
    const texts = [() => new Promise<string>(() => {}), async () => 'well\n']
    const metrics = { text: () => texts.shift()?.() ?? Promise.reject(new Error('asked too often')) }
    await using running = await run({ metrics, deadlineMs: 50 })
    expect((await fetch(`${running.url}/metrics`)).status).toBe(503)
    const next = await fetch(`${running.url}/metrics`)
    expect([next.status, await next.text()]).toEqual([200, 'well\n'])
  })

  it('renders once for scrapes that overlap', async () => {
    let rendered = 0
    const metrics = createMetrics({ defaultMetrics: false })
    const text = async (): Promise<string> => {
      rendered += 1
      await new Promise((resolve) => setImmediate(resolve))
      return metrics.text()
    }
    await using running = await run({ metrics: { ...metrics, text } })
    // Pipelined in one segment: the server begins all three in the same turn of its loop.
    const socket = connect(running.port, '127.0.0.1')
    socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
    let received = ''
    for await (const chunk of socket) {
      received += String(chunk)
      if (received.match(/HTTP\/1\.1 200/g)?.length === 3) break
    }
    expect(rendered).toBe(1)
  })

  it('closes idle and open connections, twice without harm', async () => {
    const { server, port } = await run()
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const ended = once(socket, 'close')
    await Promise.all([server.close(), server.close()])
    await ended
  })

  it('rejects when the port is taken', async () => {
    await using running = await run()
    const second = createMetricsServer({ metrics: createMetrics(), host: '127.0.0.1', port: running.port })
    await expect(second.listen()).rejects.toThrow(/EADDRINUSE/)
  })
})
