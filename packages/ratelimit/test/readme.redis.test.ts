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

/** The options of an interface as its source declares them. */
async function optionsOf(name: string, file: string): Promise<readonly string[]> {
  const source = await readFile(join(folder, 'src', file), 'utf8')
  const body = new RegExp(String.raw`interface ${name}(?:<.*>)? \{\n([\s\S]*?)\n\}`).exec(source)?.[1] ?? ''
  return [...body.matchAll(/^ {2}readonly (\w+)/gm)].map(([, option = '']) => option)
}

describe('the README names every option, and no other', () => {
  const prose = readme.replaceAll(/^```.*?^```$/gms, '')
  /** The part of the README on one function: a table behind its name, or a paragraph that begins with it. */
  const partOf = (start: string): string => {
    const from = prose.slice(prose.indexOf(`\n${start}`) + 1)
    const lines = from.split('\n')
    const end = lines.findIndex((line, at) => at > 2 && (line === '' || line.startsWith('#')))
    return lines.slice(0, end).join('\n')
  }

  test.each([
    ['Policy', 'policy.ts', 'A policy:'],
    ['RateLimiterOptions', 'rate-limiter.ts', '`createRateLimiter`:'],
  ])('%s, in its table', async (name, file, start) => {
    const rows = partOf(start)
      .split('\n')
      .filter((line) => line.startsWith('| `'))
    const named = rows.flatMap((row) =>
      [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, word = '']) => word),
    )
    expect(named.toSorted()).toEqual((await optionsOf(name, file)).toSorted())
  })

  test.each([
    ['BlockPolicy', 'policy.ts', 'A policy:'],
    ['RedisRateLimitStoreOptions', 'redis-rate-limit-store.ts', '`RedisRateLimitStore`:'],
    ['MemoryRateLimitStoreOptions', 'memory-rate-limit-store.ts', '`RedisRateLimitStore`:'],
    ['RateLimitOptions', 'express.ts', '`rateLimit` (Express):'],
    ['ClientAddressOptions', 'client-address.ts', '`createClientAddress`:'],
    ['SocketLimiterOptions', 'ws.ts', '`createSocketLimiter`:'],
  ])('%s', async (name, file, start) => {
    const options = await optionsOf(name, file)
    expect(options.length).toBeGreaterThan(1)
    const part = partOf(start)
    expect(options.filter((option) => !new RegExp(String.raw`\b${option}\b`).test(part))).toEqual([])
  })
})
