/** How the gateway reaches a backend that is several, or that speaks TLS. */
import { createServer as createTlsServer } from 'node:https'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ServerCredentials } from '@grpc/grpc-js'
import { generate } from 'selfsigned'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readBackendTls } from '../src/backend-tls.ts'
import { ConfigError } from '../src/config.ts'
import { createBackends } from '../src/grpc/backends.ts'
import { ProxyDispatcher } from '../src/http/proxy-dispatcher.ts'
import { muted, serveGame } from './harness/grpc-game.ts'
import { listening } from './harness/listening.ts'

interface Pair {
  readonly cert: Buffer
  readonly key: Buffer
}

let backend: Pair
let gateway: Pair

async function pairOf(name: string): Promise<Pair> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: name }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
  })
  return { cert: Buffer.from(cert), key: Buffer.from(key) }
}

beforeAll(async () => {
  backend = await pairOf('game.internal')
  gateway = await pairOf('gateway.internal')
})

const settings = {
  BACKEND_TLS_CA_FILE: undefined,
  BACKEND_TLS_CERT_FILE: undefined,
  BACKEND_TLS_KEY_FILE: undefined,
  BACKEND_TLS_SERVER_NAME: undefined,
}

const folder = mkdtempSync(join(tmpdir(), 'gw-tls-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function file(name: string, content: Buffer | string): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function gameAt(game: string, tls?: ReturnType<typeof readBackendTls>) {
  const addresses = { game, player: 'localhost:1', event: 'localhost:1', notify: 'localhost:1' }
  return createBackends({ addresses, timeoutMs: 10_000, ...(tls && { tls }) })
}

test('calls, retries and breaker of a service are reported by one name', async () => {
  const names: Record<string, string[]> = { call: [], retry: [], breaker: [] }
  const gone = { game: '127.0.0.1:1', player: '127.0.0.1:1', event: '127.0.0.1:1', notify: '127.0.0.1:1' }
  const backends = createBackends({
    addresses: gone,
    timeoutMs: 5000,
    onCall: ({ service }) => names['call']?.push(service),
    onRetry: (service) => names['retry']?.push(service),
    onBreaker: (service) => names['breaker']?.push(service),
  })
  while (names['breaker']?.length === 0)
    await expect(backends.game.isMuted({})).rejects.toMatchObject({ code: 'unavailable' })
  for (const each of ['call', 'retry', 'breaker'])
    expect([each, [...new Set(names[each])]]).toEqual([each, ['game']])
  backends.close()
})

test('calls go round all addresses of a target, and round one that is gone', async () => {
  const seen = [0, 0, 0]
  const counting = (at: number) =>
    serveGame({
      isMuted(_call, callback) {
        seen[at] = (seen[at] ?? 0) + 1
        callback(null, muted)
      },
    })
  await using one = await counting(0)
  await using two = await counting(1)
  await using three = await counting(2)
  const backends = gameAt(`ipv4:${[one, two, three].map(({ port }) => `127.0.0.1:${port}`).join(',')}`)
  const ask = async (): Promise<boolean> => (await backends.game.isMuted({})).isMuted
  await expect
    .poll(
      async () => {
        await ask()
        return seen.every((count) => count > 0)
      },
      { timeout: 15_000 },
    )
    .toBe(true)
  seen.fill(0)
  for (let at = 0; at < 30; at++) await ask()
  expect(seen).toEqual([10, 10, 10])
  three.server.forceShutdown()
  for (let at = 0; at < 30; at++) expect(await ask()).toBe(true)
  backends.close()
})

test('TLS: the backend’s certificate must be vouched for and carry its name; with mTLS ours must too', async () => {
  await using server = await serveGame({
    isMuted: (_call, callback) => callback(null, muted),
    credentials: ServerCredentials.createSsl(
      gateway.cert,
      [{ cert_chain: backend.cert, private_key: backend.key }],
      true,
    ),
  })
  const ca = file('ca.pem', backend.cert)
  const [cert, key] = [file('cert.pem', gateway.cert), file('key.pem', gateway.key)]
  const named = { ...settings, BACKEND_TLS_CA_FILE: ca, BACKEND_TLS_SERVER_NAME: 'game.internal' }
  const outcome = async (tls?: ReturnType<typeof readBackendTls>): Promise<unknown> => {
    const backends = gameAt(`127.0.0.1:${server.port}`, tls)
    const answer = await backends.game.isMuted({}, { timeoutMs: 3000 }).then(
      ({ isMuted }) => isMuted,
      ({ code }: { code: string }) => code,
    )
    backends.close()
    return answer
  }
  const mutual = { ...named, BACKEND_TLS_CERT_FILE: cert, BACKEND_TLS_KEY_FILE: key }
  expect(await outcome(readBackendTls(mutual))).toBe(true)
  const refused = /unavailable|timeout/
  expect(await outcome(readBackendTls(named))).toMatch(refused)
  expect(await outcome(readBackendTls({ ...mutual, BACKEND_TLS_CA_FILE: cert }))).toMatch(refused)
  expect(await outcome(readBackendTls({ ...mutual, BACKEND_TLS_SERVER_NAME: 'balance.internal' }))).toMatch(
    refused,
  )
  expect(await outcome()).toMatch(refused)
})

test('TLS to an HTTP backend, both ways', async () => {
  const large = 'in'.repeat(500_000)
  await using server = await listening(
    createTlsServer(
      { cert: backend.cert, key: backend.key, ca: gateway.cert, requestCert: true, rejectUnauthorized: true },
      (_request, response) => response.end(large),
    ),
  )
  const origin = `https://127.0.0.1:${server.port}`
  const ask = async (tls: ReturnType<typeof readBackendTls>): Promise<string> => {
    const dispatcher = new ProxyDispatcher({ timeoutMs: 5000, tls })
    const answer = await dispatcher.request({ origin, path: '/', method: 'GET' }).then(
      async ({ body }) => body.text(),
      () => 'refused',
    )
    await dispatcher.destroy()
    return answer
  }
  const mutual = { ca: backend.cert, cert: gateway.cert, key: gateway.key, serverName: 'game.internal' }
  expect(await ask(mutual)).toBe(large)
  expect(await ask({ ca: backend.cert, serverName: 'game.internal' })).toBe('refused')
  expect(await ask({ ...mutual, serverName: 'other.internal' })).toBe('refused')
})

test('a file that is missing, or no PEM, ends the start with its variable’s name', () => {
  const missing = { ...settings, BACKEND_TLS_CA_FILE: join(folder, 'nothing.pem') }
  expect(() => readBackendTls(missing)).toThrow(ConfigError)
  expect(() => readBackendTls(missing)).toThrow('BACKEND_TLS_CA_FILE: cannot be read')
  const noPem = {
    ...settings,
    BACKEND_TLS_CERT_FILE: file('no.pem', 'no'),
    BACKEND_TLS_KEY_FILE: file('no.key', 'no'),
  }
  expect(() => readBackendTls(noPem)).toThrow('not PEM, or no pair')
})
