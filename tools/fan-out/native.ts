/** The two C programs of the benchmark, compiled for this machine. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../lib/run.ts'
import { root } from '../lib/workspace.ts'

const compilers = ['cc', 'gcc', 'clang']

/** The path of the program made from `<name>.c` beside this file. Throws a sentence when the machine has no C compiler. */
export async function compile(name: 'rawcast' | 'wsload'): Promise<string> {
  if (process.platform !== 'linux')
    throw new Error('The fan-out benchmark reads /proc and uses epoll: it runs on Linux only.')
  const source = join(import.meta.dirname, `${name}.c`)
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const folder = join(root, 'node_modules/.cache/fan-out')
  const program = join(folder, `${name}-${digest}`)
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  for (const compiler of compilers) {
    if ((await run([compiler, '--version'])).code !== 0) continue
    const { code, output } = await run([compiler, '-O2', '-o', program, source])
    if (code !== 0) throw new Error(`${compiler} cannot compile ${source}:\n${output}`)
    return program
  }
  throw new Error(
    `The fan-out benchmark compiles its load generator from C and found none of ${compilers.join(', ')}: ` +
      'install one (Debian, Ubuntu: apt-get install gcc libc6-dev) and retry.',
  )
}
