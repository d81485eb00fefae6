/**
 * Finds a `redis-server` to run: from PATH, else (Debian/Ubuntu, no root needed) from the distribution's own packages
 * unpacked into node_modules/.cache, else from docker.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock-directory.ts'

/** How to start the server, and, for a container, how to pass signals to it. */
export interface RedisBinary {
  readonly command: string
  readonly env: Readonly<Record<string, string>>
  readonly kind: 'process' | 'docker'
}

const run = promisify(execFile)
const cache: string = join(import.meta.dirname, '../../../node_modules/.cache/redis')
const packages: readonly string[] = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1']

async function works(command: string, args: readonly string[], cwd?: string): Promise<boolean> {
  return run(command, args, { cwd }).then(
    () => true,
    () => false,
  )
}

function unpacked(): RedisBinary {
  const arch = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  return {
    command: join(cache, 'usr/bin/redis-server'),
    env: { LD_LIBRARY_PATH: join(cache, `usr/lib/${arch}-linux-gnu`) },
    kind: 'process',
  }
}

/** Fills a private directory and renames it into place, so that no process ever sees half a package. */
async function unpack(): Promise<void> {
  const work = `${cache}.${process.pid}`
  await mkdir(work, { recursive: true })
  try {
    const download = ['download', ...packages]
    if (!(await works('apt-get', download, work))) {
      await works('apt-get', ['update'])
      await run('apt-get', download, { cwd: work })
    }
    for (const name of await readdir(work))
      if (name.endsWith('.deb')) await run('dpkg', ['-x', name, '.'], { cwd: work })
    await rm(cache, { recursive: true, force: true })
    await rename(work, cache)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

/** One process downloads, the others wait for it. */
async function fromDistribution(): Promise<RedisBinary> {
  const found = unpacked()
  await withLock(`${cache}.lock`, async () => {
    if (!existsSync(found.command)) await unpack()
  })
  return found
}

/** The first way to a Redis that works on this machine. Throws when there is none. */
export async function findRedis(): Promise<RedisBinary> {
  for (const command of ['redis-server', 'valkey-server'])
    if (await works(command, ['--version'])) return { command, env: {}, kind: 'process' }
  if (existsSync(unpacked().command)) return unpacked()
  if (await works('apt-get', ['--version'])) return fromDistribution()
  if (await works('docker', ['info'])) return { command: 'docker', env: {}, kind: 'docker' }
  throw new Error('No Redis found: install redis-server, valkey-server or docker.')
}
