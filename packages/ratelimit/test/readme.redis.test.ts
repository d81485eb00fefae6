import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'

const folder = new URL('..', import.meta.url).pathname
const readme = await readFile(join(folder, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(ts|diff)[^\n]*\n(.*?)^```$/gms)].map(
  ([, language = '', code = '']) => (language === 'ts' ? code : asExpressApp(code)),
)

/** What the diff leaves, as an app that serves one request and prints its fields. */
function asExpressApp(diff: string): string {
  const kept = diff.split('\n').filter((line) => !line.startsWith('-'))
  const lines = kept.map((line) => line.replace(/^\+/, ''))
  const imports = lines.filter((line) => line.startsWith('import'))
  const rest = lines.filter((line) => !line.startsWith('import'))
  return `import express from 'express'
import { once } from 'node:events'
${imports.join('\n')}
const app = express()
${rest.join('\n')}
app.get('/', (_request, response) => void response.end())
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
const response = await fetch('http://127.0.0.1:' + server.address().port)
console.log(response.headers.get('ratelimit-policy'))
server.closeAllConnections()
server.close()
`
}

/** Runs a block as a program of this package's folder. */
async function run(code: string): Promise<string> {
  const dir = await mkdtemp(join(folder, 'test', 'readme-'))
  try {
    const file = join(dir, 'block.ts')
    await writeFile(file, code)
    const env = { ...process.env, REDIS_URL: inject('redisUrl') }
    const options = { env, cwd: folder, timeout: 15_000 }
    const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@gw/source', file], options)
    return stdout
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

describe('the code of the README runs', () => {
  const expected = [/^"ip";q=100;w=60$/m, /^$/, /^true redis/, /^$/]

  test('there is a check for every block', () => {
    expect(blocks).toHaveLength(expected.length)
  })

  test.each(expected.map((output, at) => ({ at, output })))('block $at', async ({ at, output }) => {
    expect(await run(blocks[at] ?? '')).toMatch(output)
  })
})
