/**
 * Gives tests a real Redis: REDIS_URL if set, else a `redis-server` child on a free
 * port. The binary comes from PATH, or (Debian/Ubuntu, no root needed) from the
 * distribution's own packages unpacked into node_modules/.cache, or from docker.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface TestRedis {
  readonly url: string
  readonly stop: () => void
}

interface Launcher {
  readonly command: string
  readonly args?: readonly string[]
  readonly env?: Record<string, string>
}

const cache: string = join(import.meta.dirname, '../../../node_modules/.cache/redis')
const packages: readonly string[] = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']

function works(command: string, args: readonly string[], cwd?: string): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore', cwd })
    return true
  } catch {
    return false
  }
}

function fromDistribution(): Launcher {
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  const launcher: Launcher = {
    command: join(cache, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: join(cache, `usr/lib/${arch}-linux-gnu`) },
  }
  if (existsSync(launcher.command)) return launcher
  mkdirSync(cache, { recursive: true })
  const download = ['download', ...packages]
  if (!works('apt-get', download, cache)) {
    works('apt-get', ['update'])
    execFileSync('apt-get', download, { cwd: cache, stdio: 'inherit' })
  }
  for (const deb of readdirSync(cache).filter((name) => name.endsWith('.deb')))
    execFileSync('dpkg', ['-x', deb, '.'], { cwd: cache })
  return launcher
}

function findRedis(): Launcher {
  for (const command of ['redis-server', 'valkey-server'])
    if (works(command, ['--version'])) return { command }
  if (works('apt-get', ['--version'])) return fromDistribution()
  if (works('docker', ['info']))
    return {
      command: 'docker',
      args: ['run', '--rm', '-i', '--network=host', 'redis:7-alpine', 'redis-server'],
    }
  throw new Error('No Redis found: set REDIS_URL, or install redis-server or docker.')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
      .once('connect', () => resolve(true))
      .once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

export async function startRedis(): Promise<TestRedis> {
  const given = process.env['REDIS_URL']
  if (given) return { url: given, stop: () => {} }
  const { command, args = [], env } = findRedis()
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'gw-redis-'))
  const settings = [
    '--port',
    String(port),
    '--bind',
    '127.0.0.1',
    '--save',
    '',
    '--dir',
    command === 'docker' ? '/tmp' : dir,
  ]
  const child = spawn(command, [...args, ...settings], {
    stdio: 'ignore',
    env: { ...process.env, ...env },
  })
  const stop = (): void => {
    child.kill('SIGKILL')
    rmSync(dir, { recursive: true, force: true })
  }
  process.once('exit', stop)
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (child.exitCode !== null || tries > 500) throw new Error(`${command} did not start`)
    await sleep(10)
  }
  return { url: `redis://127.0.0.1:${port}`, stop }
}
