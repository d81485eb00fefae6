import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'

const main = new URL('../src/main.ts', import.meta.url).pathname
const portNames = [
  'BALANCE_HTTP_PORT',
  'BALANCE_GRPC_PORT',
  'PLAYER_GRPC_PORT',
  'GAME_GRPC_PORT',
  'EVENT_GRPC_PORT',
  'NOTIFY_GRPC_PORT',
  'DEMO_CONTROL_PORT',
]
const freePorts = Object.fromEntries(portNames.map((name) => [name, '0']))
const lineSchema = z.looseObject({ level: z.string(), msg: z.string() })

function run(env: Readonly<Record<string, string>>): ChildProcess {
  const args = ['--conditions=@gw/source', main]
  return spawn(process.execPath, args, {
    env: { PATH: process.env['PATH'], ...freePorts, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function lines(child: ChildProcess, isLast: (msg: string) => boolean = () => false) {
  const seen: z.infer<typeof lineSchema>[] = []
  if (!child.stdout) return seen
  for await (const line of createInterface({ input: child.stdout })) {
    const parsed = lineSchema.parse(JSON.parse(line))
    seen.push(parsed)
    if (isLast(parsed.msg)) break
  }
  return seen
}

describe('the process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'says when it is ready, and ends within 2 s of %s',
    async (signal) => {
      const child = run({})
      const exited = once(child, 'exit')
      const [ready] = await lines(child, (msg) => msg === 'demo_ready')
      const ports = z.record(z.string(), z.int().positive()).parse(ready?.['ports'])
      expect(Object.keys(ports)).toEqual([
        'balanceHttp',
        'balance',
        'player',
        'game',
        'event',
        'notify',
        'control',
      ])
      const sentAt = performance.now()
      child.kill(signal)
      expect(await exited).toEqual([0, null])
      expect(performance.now() - sentAt).toBeLessThan(2000)
    },
  )

  it('exits with 1 and every problem when its settings are wrong', async () => {
    const child = run({ HAND_START_DELAY_MS: '-1', REDIS_URL: 'x' })
    const [[line], [code]] = await Promise.all([lines(child), once(child, 'exit')])
    expect(code).toBe(1)
    expect(line).toMatchObject({
      msg: 'invalid_config',
      problems: [expect.stringContaining('REDIS_URL'), expect.stringContaining('HAND_START_DELAY_MS')],
    })
  })

  it('exits with 1 when a port is taken', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const child = run({ DEMO_CONTROL_PORT: String(port) })
    const [[line], [code]] = await Promise.all([lines(child), once(child, 'exit')])
    expect([code, line]).toMatchObject([
      1,
      { level: 'error', what: 'start', error: expect.stringContaining('EADDRINUSE') },
    ])
    taken.close()
  })
})
