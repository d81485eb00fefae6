/** Nobody reads the log: lines are lost and counted, requests are not. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '@gw/testing'
import { expect, test } from 'vitest'
import { secret } from './harness/platform.ts'
import { scrape } from './harness/scrape.ts'

const root = join(import.meta.dirname, '../../..')

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(10_000) }).then(
    async (response) => (await response.text(), response.ok),
    () => false,
  )
}

test('behind a stdout that nobody reads every request is answered, and the lost lines are counted and told', async () => {
  const [port, metricsPort] = [await freePort(), await freePort()]
  const env = { HOST: '127.0.0.1', PORT: String(port), METRICS_PORT: String(metricsPort), INTERNAL_PORT: '0' }
  const child = spawn(process.execPath, ['--conditions=@gw/source', 'apps/gateway/src/main.ts'], {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', ...env, METRICS_HOST: '127.0.0.1', JWT_HS256_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const url = `http://127.0.0.1:${port}/health`
    const gateway = { metricsUrl: `http://127.0.0.1:${metricsPort}/metrics` }
    const late = Date.now() + 30_000
    while (!(await answers(url))) if (Date.now() > late) throw new Error('it never listened')
    // The pipe takes 64 KiB and the gateway holds 1 MiB: some thousand access lines are more.
    let dropped = 0
    for (let round = 0; dropped === 0 && round < 200; round++) {
      const ok = await Promise.all(Array.from({ length: 50 }, async () => answers(url)))
      expect(ok.every(Boolean)).toBe(true)
      dropped = (await scrape(gateway)).value('gateway_log_lines_dropped_total') ?? 0
    }
    expect(dropped).toBeGreaterThan(0)

    // Somebody reads again: the first line behind the gap says how many are missing.
    const told: number[] = []
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line: unknown = JSON.parse(text)
      if (typeof line !== 'object' || line === null || !('count' in line) || !('msg' in line)) return
      if (line.msg === 'log_lines_dropped') told.push(Number(line.count))
    })
    while (told.length === 0 && (await answers(url)));
    expect(told[0]).toBeGreaterThanOrEqual(dropped)
  } finally {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
}, 60_000)
