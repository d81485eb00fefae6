/**
 * Finds a Chromium to test with: CHROMIUM_PATH, else one in PATH, else (Debian, as root) the distribution's package,
 * installed once.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { aptInstall, canInstall } from './apt.ts'
import { withLock } from './lock-directory.ts'

const run = promisify(execFile)
const names: readonly string[] = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const macPath = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome'
const lock: string = join(import.meta.dirname, '../../../node_modules/.cache/chromium.lock')
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
  if (!canInstall()) throw new Error(missing)
  return withLock(lock, async () => {
    // Whoever held the lock before may have brought it.
    const before = await installed(path)
    if (before !== undefined) return before
    process.stderr.write(
      "Chromium: none installed; installing the distribution's package, once (about 100 MB)…\n",
    )
    await aptInstall(['chromium'])
    const now = await installed(path)
    if (now === undefined) throw new Error(missing)
    return now
  })
}
