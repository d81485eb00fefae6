import { once } from 'node:events'
import { accessSync, constants, existsSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { startRedis } from '@gw/testing/redis-server'
import { root } from './workspace.ts'

/** Where the tests' Redis comes from, in words; what must be fetched first is fetched here, once, before many ask. */
export async function prepareRedis(env: NodeJS.ProcessEnv, say: (line: string) => void): Promise<string> {
  const given = env['REDIS_URL']
  if (given !== undefined && given !== '') return checkUrl(given)
  const cached = existsSync(join(root, 'node_modules/.cache/redis/usr/bin/redis-server'))
  const found = ['redis-server', 'valkey-server'].find((name) => inPath(name, env['PATH'] ?? ''))
  const source = found ?? (cached ? "Debian's redis-server, unpacked in node_modules/.cache" : undefined)
  if (source === undefined) say("Redis: none installed; fetching Debian's packages, or docker's image, once…")
  // A real start: half an installation must not become a hundred failing tests.
  const redis = await startRedis({ startTimeoutMs: 60_000 })
  redis.stop()
  return source ?? 'ready'
}

async function checkUrl(text: string): Promise<string> {
  if (!URL.canParse(text)) throw new Error(`REDIS_URL is not a URL: ${text}`)
  const url = new URL(text)
  const port = url.port === '' ? 6379 : Number(url.port)
  const socket = connect({ host: url.hostname, port, timeout: 3000 })
  try {
    socket.once('timeout', () => socket.destroy(new Error('no answer in 3 s')))
    await once(socket, 'connect')
  } catch (error) {
    throw new Error(
      `REDIS_URL names ${url.host}, but no Redis answers there: start it, or unset REDIS_URL to let the tests bring their own.`,
      { cause: error },
    )
  } finally {
    socket.destroy()
  }
  return `REDIS_URL (${url.host})`
}

function inPath(name: string, path: string): boolean {
  return path.split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}
