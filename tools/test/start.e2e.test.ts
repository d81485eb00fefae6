import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test, vi } from 'vitest'
import { ports, start } from './harness/started.ts'

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test(
  'it gets ready, prints tokens that work, and leaves nothing behind on SIGTERM',
  { timeout: 60_000 },
  async () => {
    await using started = start(await ports())
    await started.says('Ctrl-C stops everything')
    expect((await fetch(`${started.url}/ready`)).status).toBe(200)
    for (const user of ['ALICE', 'BOB']) {
      const token = new RegExp(`export ${user}=(\\S+)`).exec(started.output())?.[1] ?? ''
      const response = await fetch(`${started.url}/api/tables`, {
        headers: { authorization: `Bearer ${token}` },
      })
      expect(response.status).toBe(200)
      expect(await response.json()).toBeInstanceOf(Array)
    }
    const children = started.children()
    expect(children).toHaveLength(2)
    started.child.kill('SIGTERM')
    expect(await started.ended).toBe(0)
    expect(children.filter(isRunning)).toEqual([])
    expect(started.output()).toMatch(/Stopped\.\s*$/)
  },
)

test('when it is killed outright, what it started ends by itself', { timeout: 60_000 }, async () => {
  await using started = start(await ports())
  await started.says('Ctrl-C stops everything')
  const children = started.children()
  started.child.kill('SIGKILL')
  await vi.waitFor(() => expect(children.filter(isRunning)).toEqual([]), { timeout: 20_000, interval: 50 })
})

test('when one part dies the other is stopped, with a line that says so', { timeout: 60_000 }, async () => {
  await using started = start(await ports())
  await started.says('Ctrl-C stops everything')
  const children = started.children()
  process.kill(children[0] ?? 0, 'SIGKILL')
  expect(await started.ended).toBe(1)
  expect(started.output()).toMatch(/The (?:demo|gateway) stopped: signal SIGKILL/)
  expect(children.filter(isRunning)).toEqual([])
})

test('a part that cannot start is named with its last output', { timeout: 60_000 }, async () => {
  await using started = start({ ...(await ports()), JWT_HS256_SECRET: 'short' })
  expect(await started.ended).toBe(1)
  expect(started.output()).toMatch(/The (?:demo|gateway) did not start: it ended with exit code 1/)
  expect(started.output()).toContain('JWT_HS256_SECRET')
})

test('a taken port is one sentence, before anything is started', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await using started = start({ ...(await ports()), PORT: String(port) })
  expect(await started.ended).toBe(1)
  expect(started.output().trim()).toMatch(
    new RegExp(`^Port ${port} for the gateway is in use.*PORT=\\d+ npm start`),
  )
  server.close()
})

test(
  'a port of the demo platform that nobody chose moves by itself when it is taken',
  { timeout: 60_000 },
  async () => {
    const server = createServer().listen(3003, '127.0.0.1')
    // Taken by somebody else already does as well.
    await Promise.race([once(server, 'listening'), once(server, 'error')])
    const { DEMO_CONTROL_PORT: _, ...env } = await ports()
    await using started = start(env)
    await started.says('Ctrl-C stops everything')
    expect(started.output()).toMatch(/Port 3003 for the demo platform is in use: it takes \d+ instead/)
    server.close()
  },
)
