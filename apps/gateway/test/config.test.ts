import { generateKeyPairSync } from 'node:crypto'
import { expect, test } from 'vitest'
import { ConfigError, configTable, loadConfig } from '../src/config.ts'

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

test('an empty environment gives the contract’s defaults', () => {
  const config = loadConfig({})
  expect(config.PORT).toBe(4000)
  expect(config.METRICS_PORT).toBe(9100)
  expect(config.REDIS_URL).toBeUndefined()
  expect(config.BALANCE_SERVICE_HTTP_URL).toBe('http://localhost:3002')
  expect(config.HTTP_RATE_LIMIT_FAIL_OPEN).toBe(true)
  expect(config.CORS_ORIGIN).toEqual(['http://localhost:3000'])
  expect(Object.isFrozen(config)).toBe(true)
})

test('all problems are told at once, each with its variable, none with its value', () => {
  const problems = problemsOf({
    PORT: '70000',
    REDIS_URL: 'localhost:6379',
    JWT_HS256_SECRET: 'changeme',
    HTTP_RATE_LIMIT_MAX: '-1',
    CORS_ORIGIN: 'http://ok.example,not an origin',
    GAME_SERVICE_URL: 'game',
  })
  expect(
    problems.map((problem) => problem.split(/[.:]/, 1)[0]).toSorted((a = '', b = '') => a.localeCompare(b)),
  ).toEqual([
    'CORS_ORIGIN',
    'GAME_SERVICE_URL',
    'HTTP_RATE_LIMIT_MAX',
    'JWT_HS256_SECRET',
    'PORT',
    'REDIS_URL',
  ])
  expect(problems.join()).not.toContain('changeme')
})

test('the demo’s page is for a developer’s machine only: NODE_ENV says so, and it is on loopback', () => {
  const page = 'http://127.0.0.1:3004'
  const refusal = 'DEMO_PAGE_URL: is for NODE_ENV=development only'
  expect(problemsOf({ DEMO_PAGE_URL: page })).toEqual([refusal])
  expect(problemsOf({ DEMO_PAGE_URL: page, NODE_ENV: 'production' })).toEqual([refusal])
  for (const DEMO_PAGE_URL of [
    'http://demo:3004',
    'https://localhost:3004',
    'http://127.0.0.1.evil.example',
    'x',
  ])
    expect(problemsOf({ DEMO_PAGE_URL, NODE_ENV: 'development' })).toEqual([
      'DEMO_PAGE_URL: must be an http URL of loopback',
    ])
  expect(loadConfig({ DEMO_PAGE_URL: page, NODE_ENV: 'development' }).DEMO_PAGE_URL).toBe(page)
  expect(loadConfig({}).DEMO_PAGE_URL).toBeUndefined()
})

test('blank variables count as absent', () => {
  expect(loadConfig({ PORT: ' ', JWT_PUBLIC_KEY: '' }).PORT).toBe(4000)
})

test('a switch knows the contract’s words', () => {
  for (const word of ['1', 'true', 'yes', 'y', 'on'])
    expect(loadConfig({ WS_QUERY_TOKEN_AUTH: word }).WS_QUERY_TOKEN_AUTH).toBe(true)
  for (const word of ['0', 'false', 'no', 'n', 'off'])
    expect(loadConfig({ WS_QUERY_TOKEN_AUTH: word }).WS_QUERY_TOKEN_AUTH).toBe(false)
  expect(problemsOf({ WS_QUERY_TOKEN_AUTH: 'maybe' })).toHaveLength(1)
})

test('the balance address may leave the scheme out, and a gRPC address may carry one', () => {
  expect(loadConfig({ BALANCE_SERVICE_HTTP_URL: 'balance:3002' }).BALANCE_SERVICE_HTTP_URL).toBe(
    'http://balance:3002',
  )
  expect(loadConfig({ BALANCE_SERVICE_HTTP_URL: 'https://balance' }).BALANCE_SERVICE_HTTP_URL).toBe(
    'https://balance',
  )
  expect(problemsOf({ GAME_SERVICE_URL: 'dns://game:50053' })).toEqual([])
})

test('the table has one row a variable, each with a description', () => {
  const rows = configTable().split('\n').slice(2)
  expect(rows.length).toBeGreaterThan(40)
  for (const row of rows) expect(row).toMatch(/^\| `[A-Z0-9_]+` \| (?:–|`[^`]+`) \| .{8,} \|$/)
})

test('an admin token that could be guessed is refused at start, and is not shown', () => {
  const load = () => loadConfig({ ADMIN_TOKEN: 'canary-too-short' })
  expect(load).toThrow(/ADMIN_TOKEN: must be at least 32 characters/)
  expect(load).not.toThrow(/canary/)
  expect(loadConfig({ ADMIN_TOKEN: 'x'.repeat(32) }).ADMIN_TOKEN).toHaveLength(32)
  expect(loadConfig({}).ADMIN_TOKEN).toBeUndefined()
})

test('keys are tried before anything is started: what could verify no token, or anybody’s, is named', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const problems = problemsOf({
    JWT_PUBLIC_KEY: 'canary-no-key',
    JWT_HS256_SECRET: 'canary-'.repeat(8),
    JWT_SECRET: 'short',
    PORT: 'x',
  })
  // The older name is not looked at beside the newer one.
  expect(problems.map((problem) => problem.split(':', 1)[0])).toEqual([
    'PORT',
    'JWT_PUBLIC_KEY',
    'JWT_HS256_SECRET',
  ])
  expect(problems.join()).not.toContain('canary')
  const JWT_SECRET = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
  expect(problemsOf({ JWT_SECRET })).toEqual([expect.stringMatching(/^JWT_SECRET: .*PEM file/)])
})

test('values of the old environment mean what they meant, as near as it may be', () => {
  const config = loadConfig({
    GRPC_CLIENT_TIMEOUT_MS: '0',
    LOG_LEVEL: 'trace',
    WS_QUERY_TOKEN_AUTH: 'True',
  })
  expect(config.GRPC_CLIENT_TIMEOUT_MS).toBe(60_000)
  expect(config.LOG_LEVEL).toBe('debug')
  expect(config.WS_QUERY_TOKEN_AUTH).toBe(true)
  expect(loadConfig({ LOG_LEVEL: 'silent' }).LOG_LEVEL).toBe('error')
  expect(problemsOf({ LOG_LEVEL: 'loud' })).toHaveLength(1)
})
