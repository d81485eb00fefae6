import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { makeToken } from './make-token.ts'

const root = new URL('..', import.meta.url).pathname
const readme = readFileSync(`${root}README.md`, 'utf8')
const secret = 'a test secret, quite long enough: 0123456789'

/** Runs code as a file of this package would, and returns what it prints. */
async function run(code: string): Promise<string> {
  const args = ['--conditions=@gw/source', '--input-type=module-typescript', '--no-warnings', '--eval', code]
  const env = { ...process.env, JWT_SECRET: secret, NODE_ENV: 'test' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env, timeout: 15_000 })
  return stdout
}

const examples = [...readme.matchAll(/```ts\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g)]

describe('the code in README.md', () => {
  it('is all found', () => {
    expect(examples).toHaveLength(readme.split('```ts\n').length - 1)
  })

  it.each(examples.map(([, code = '', output = '']) => [code.trim().split('\n').at(-1) ?? '', code, output]))(
    'prints what it says: … %s',
    async (_line, code, output) => {
      expect(await run(code)).toBe(output)
    },
  )

  it('turns an express-jwt app into ours', async () => {
    const diff = /```diff\n([\s\S]*?)```/.exec(readme)?.[1] ?? ''
    const app = diff.replaceAll(/^-.*\n/gm, '').replaceAll(/^[ +]/gm, '')
    const token = makeToken({ payload: { sub: 'ann', exp: Math.floor(Date.now() / 1000) + 60 } })
    const probe = `
      const server = app.listen(0, '127.0.0.1', async () => {
        const url = 'http://127.0.0.1:' + server.address().port + '/me'
        for (const headers of [{}, { authorization: 'Bearer ${token}' }]) {
          const response = await fetch(url, { headers })
          console.log(response.status, await response.text())
        }
        server.closeAllConnections()
        server.close()
      })`
    expect(await run(app + probe)).toBe(
      '401 {"code":"auth_denied","message":"Missing bearer token"}\n200 {"user":"ann"}\n',
    )
  })
})

it.each([
  ['TokenVerifierOptions', 'token-verifier.ts'],
  ['TokenCacheLimits', 'token-verifier.ts'],
  ['RemoteKeyOptions', 'key-source.ts'],
  ['AuthOptions', 'express-middleware.ts'],
])('README.md names every option of %s', (name, file) => {
  const source = readFileSync(`${root}src/${file}`, 'utf8')
  const body = new RegExp(String.raw`interface ${name} \{\n([\s\S]*?)\n\}`).exec(source)?.[1] ?? ''
  const options = [...body.matchAll(/^ {2}readonly (\w+)/gm)].map(([, option = '']) => option)
  expect(options.length).toBeGreaterThan(2)
  const rows = readme.split('\n').filter((line) => line.startsWith('| `'))
  expect(options.filter((option) => !rows.some((row) => row.includes(`\`${option}\``)))).toEqual([])
})
