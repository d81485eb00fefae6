import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { configSchema, developmentSecret, loadConfig } from '../src/config.ts'

describe('loadConfig', () => {
  it('needs nothing', () => {
    const loaded = loadConfig({ REDIS_URL: ' ' })
    expect(loaded).toMatchObject({
      ok: true,
      config: {
        host: '127.0.0.1',
        ports: {
          balanceHttp: 3002,
          balance: 50_051,
          player: 50_052,
          game: 50_053,
          event: 50_054,
          notify: 50_055,
          control: 3003,
        },
        redisUrl: undefined,
        gatewayPublishUrl: 'localhost:4001',
        tokenKeys: { hs256Secret: developmentSecret },
        handStartDelayMs: 1500,
        nextHandDelayMs: 3000,
        maxSpectators: 500,
        acceptSessions: false,
      },
    })
  })

  it('names every problem at once', () => {
    const loaded = loadConfig({
      GAME_GRPC_PORT: '70000',
      REDIS_URL: 'http://localhost',
      JWT_HS256_SECRET: 'short',
      JWT_PUBLIC_KEY: 'no key',
      EVENT_ACCEPT_SESSIONS: 'maybe',
      GATEWAY_PUBLISH_URL: 'http://gateway:4001',
    })
    const names = loaded.ok ? [] : loaded.problems.map((problem) => problem.split(':')[0])
    expect(new Set(names)).toEqual(
      new Set([
        'GAME_GRPC_PORT',
        'REDIS_URL',
        'JWT_HS256_SECRET',
        'JWT_PUBLIC_KEY',
        'EVENT_ACCEPT_SESSIONS',
        'GATEWAY_PUBLISH_URL',
      ]),
    )
  })

  it('does not start in production with the secret that everybody knows', () => {
    expect(loadConfig({ NODE_ENV: 'production' })).toEqual({
      ok: false,
      problems: ['JWT_HS256_SECRET: is required in production (or JWT_PUBLIC_KEY)'],
    })
    expect(loadConfig({ NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(32) })).toMatchObject({ ok: true })
  })
})

describe('the README', () => {
  it('has a row for every setting, with its default and meaning', () => {
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const rows = readme
      .split('\n')
      .flatMap((line) => (line.startsWith('| `') ? line.replaceAll(/ +/g, ' ') : []))
    const { properties = {} } = z.toJSONSchema(configSchema, { io: 'input', unrepresentable: 'any' })
    const expected = Object.entries(properties).map(([name, property]) => {
      const { default: fallback, description = '' } = typeof property === 'object' ? property : {}
      return `| \`${name}\` | ${fallback === undefined ? '–' : `\`${z.coerce.string().parse(fallback)}\``} | ${description} |`
    })
    expect(rows.filter((row) => /^\| `[A-Z_0-9]+` /.test(row))).toEqual(expected)
  })
})
