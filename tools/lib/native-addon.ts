import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { aptInstall, canInstall } from '@gw/testing/apt'
import { run } from './run.ts'
import { root } from './workspace.ts'

const folder = join(root, 'packages/send-all')
const built: string = join(folder, `dist/send-all-${process.platform}-${process.arch}.node`)

/** Builds the addon again, so that the tests see today's source; says in words what came of it. A bare Debian gets a compiler first. */
export async function prepareAddon(say: (line: string) => void): Promise<string> {
  const build = async (): Promise<string> => (await run(['node', 'build.js'], { cwd: folder })).output.trim()
  let output = await build()
  if (!existsSync(built) && process.platform === 'linux' && canInstall()) {
    say("C compiler: none installed; installing the distribution's package, once…")
    await aptInstall(['gcc', 'libc6-dev'])
    output = await build()
  }
  return output === '' ? 'built' : output
}
