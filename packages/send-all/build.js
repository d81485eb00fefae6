/**
 * Compiles the addon for this machine: dist/send-all-<platform>-<arch>.node. Run by `pnpm install`. Where it can't, it says so and
 * exits with 0: whoever uses the package goes on without.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @param {string} path */
const inPackage = (path) => fileURLToPath(new URL(path, import.meta.url))
const target = inPackage(`dist/send-all-${process.platform}-${process.arch}.node`)
const flags = ['-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC']

/** @param {string} reason */
function leave(reason) {
  rmSync(target, { force: true })
  process.stdout.write(`send-all: not built, ${reason}; each socket is written to by a call of its own.\n`)
}

async function build() {
  if (process.platform !== 'linux') return leave('it is for Linux only')
  const compiler = ['cc', 'gcc', 'clang'].find((name) => spawnSync(name, ['--version']).status === 0)
  if (compiler === undefined)
    return leave('no C compiler found (Debian, Ubuntu: apt-get install gcc libc6-dev)')
  const { include_dir: include } = (await import('node-api-headers')).default
  mkdirSync(inPackage('dist'), { recursive: true })
  // Renamed when it is whole: a process may be loading it.
  const made = `${target}.${process.pid}`
  const { status, stderr } = spawnSync(compiler, [
    ...flags,
    '-I',
    include,
    '-o',
    made,
    inPackage('src/send-all.c'),
  ])
  if (status !== 0) return leave(`${compiler} failed: ${String(stderr)}`)
  renameSync(made, target)
}

await build()
