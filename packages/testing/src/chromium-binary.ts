/**
 * Finds a Chromium to test with: CHROMIUM_PATH, else one in PATH, else (Debian, as root) the distribution's package,
 * installed once.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { withLock } from './lock-directory.ts'

const run = promisify(execFile)
const names: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const macPath = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
const aptGet = '/usr/bin/apt-get'
const lock: string = join(import.meta.dirname, '../../../node_modules/.cache/chromium.lock')
// Another apt on the machine may hold dpkg's lock for a while.
const install: readonly string[] = [
  'install',
  '-q',
  '-y',
  '--no-install-recommends',
  '-o',
  'DPkg::Lock::Timeout=120',
  'chromium',
]
const missing =
  'No Chromium found: install chromium or google-chrome (on Debian as root: apt-get install chromium), or set CHROMIUM_PATH.'

/** A wrapper without the browser behind it does not count. */
async function works(command: string): Promise<boolean> {
  return run(command, ['--version'], { timeout: 30_000 }).then(
    () => true,
    () => false,
  )
}

async function installed(path: string): Promise<string | undefined> {
  const folders = path.split(delimiter).filter((folder) => folder !== '')
  const files = names.flatMap((name) => folders.map((folder) => join(folder, name)))
  for (const file of [...files, macPath]) if (existsSync(file) && (await works(file))) return file
  return undefined
}

/** Runs apt-get with its progress on our stderr. */
async function apt(args: readonly string[]): Promise<boolean> {
  const child = spawn(aptGet, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  const [code] = await Promise.race([once(child, 'close'), once(child, 'error').then(() => [1])])
  return code === 0
}

async function installFromDistribution(): Promise<void> {
  process.stderr.write(
    "Chromium: none installed; installing the distribution's package, once (about 100 MB)…\n",
  )
  if (await apt(install)) return
  // A fresh machine has no package lists.
  await apt(['update', '-q'])
  await apt(install)
}

/**
 * Absolute path of a Chromium. The first time on a bare Debian it is installed, which takes a minute or so; one
 * process does it, the others wait. Throws one sentence when there is none and none can be had.
 */
export async function findChromium(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const given = env['CHROMIUM_PATH']?.trim() ?? ''
  if (given !== '') {
    if (await works(given)) return given
    throw new Error(`CHROMIUM_PATH names ${given}, which does not start: correct it or unset it.`)
  }
  const path = env['PATH'] ?? ''
  const found = await installed(path)
  if (found !== undefined) return found
  if (process.getuid?.() !== 0 || !existsSync(aptGet)) throw new Error(missing)
  return withLock(lock, async () => {
    // Whoever held the lock before may have brought it.
    const before = await installed(path)
    if (before !== undefined) return before
    await installFromDistribution()
    const now = await installed(path)
    if (now === undefined) throw new Error(missing)
    return now
  })
}
