/** Benchmarks have parts in C: what measures must cost next to nothing beside what it measures. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const compilers = ['cc', 'gcc', 'clang']
const cache = join(import.meta.dirname, '../../../node_modules/.cache/c-programs')
const run = promisify(execFile)

/**
 * The path of the program made from the C file `source`; made once for each content. Linux only. Throws a sentence when
 * the machine has no C compiler.
 */
export async function compileC(source: string): Promise<string> {
  if (process.platform !== 'linux') throw new Error(`${basename(source)} uses epoll: it runs on Linux only.`)
  const digest = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)
  const program = join(cache, `${basename(source, '.c')}-${digest}`)
  if (existsSync(program)) return program
  mkdirSync(cache, { recursive: true })
  for (const compiler of compilers) {
    const isThere = await run(compiler, ['--version']).then(
      () => true,
      () => false,
    )
    if (!isThere) continue
    await run(compiler, ['-O2', '-o', program, source])
    return program
  }
  throw new Error(
    `${basename(source)} has to be compiled, and none of ${compilers.join(', ')} was found: ` +
      'install one (Debian, Ubuntu: apt-get install gcc libc6-dev) and retry.',
  )
}
