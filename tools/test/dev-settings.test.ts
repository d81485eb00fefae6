import { expect, test } from 'vitest'
import { devSettings } from '../lib/dev-settings.ts'
import { developmentSecret } from '../lib/dev-token.ts'
import { welcome } from '../lib/welcome.ts'

test('with an empty environment everything is on loopback, with the development secret', () => {
  const settings = devSettings({})
  expect(settings.gatewayEnv).toMatchObject({
    NODE_ENV: 'development',
    HOST: '127.0.0.1',
    PORT: '4000',
    INTERNAL_PORT: '4001',
    JWT_HS256_SECRET: developmentSecret,
    GAME_SERVICE_URL: 'localhost:50053',
    BALANCE_SERVICE_HTTP_URL: 'localhost:3002',
  })
  expect(settings.demoEnv).toMatchObject({ GATEWAY_PUBLISH_URL: 'localhost:4001' })
  expect(settings.gatewayEnv).not.toHaveProperty('REDIS_URL')
})

test('the caller decides: ports move together with the addresses that point to them', () => {
  const settings = devSettings({
    PORT: '5000',
    INTERNAL_PORT: '5001',
    GAME_GRPC_PORT: '5053',
    REDIS_URL: 'redis://r',
  })
  expect(settings.gatewayEnv).toMatchObject({
    PORT: '5000',
    GAME_SERVICE_URL: 'localhost:5053',
    REDIS_URL: 'redis://r',
  })
  expect(settings.demoEnv).toMatchObject({
    GATEWAY_PUBLISH_URL: 'localhost:5001',
    GAME_GRPC_PORT: '5053',
    REDIS_URL: 'redis://r',
  })
  expect(settings.ports.find(({ variable }) => variable === 'GAME_GRPC_PORT')?.port).toBe(5053)
})

test('the page is served by the demo on loopback and relayed by the gateway', () => {
  const { gatewayEnv, demoEnv } = devSettings({ DEMO_PAGE_PORT: '5004' })
  expect(gatewayEnv).toMatchObject({ NODE_ENV: 'development', DEMO_PAGE_URL: 'http://127.0.0.1:5004' })
  expect(demoEnv).toMatchObject({ NODE_ENV: 'development', DEMO_PAGE_PORT: '5004' })
})

test('a gateway that listens elsewhere has its platform on loopback, and is told of where it is', () => {
  const settings = devSettings({ HOST: '192.0.2.2' })
  expect(settings.gatewayEnv).toMatchObject({ HOST: '192.0.2.2' })
  expect(settings.demoEnv).toMatchObject({ HOST: '127.0.0.1' })
  const printed = (host: string): string =>
    welcome({ settings: devSettings({ HOST: host }), env: {}, now: 0 }).join('\n')
  expect(printed('192.0.2.2')).toContain('http://192.0.2.2:4000/api/tables')
  expect(printed('2001:db8::1')).toContain('ws://[2001:db8::1]:4000/ws')
  expect(printed('0.0.0.0')).toContain('http://localhost:4000/demo')
})

test('a blank variable counts as unset', () => {
  expect(devSettings({ PORT: '', JWT_HS256_SECRET: ' ' })).toMatchObject({
    port: 4000,
    tokenSecret: developmentSecret,
  })
})

test.each(['abc', '70000', '0', '-1', '1.5'])('PORT=%s is refused by name', (PORT) => {
  expect(() => devSettings({ PORT })).toThrow(/^PORT must be a port/)
})

test.each([{ NODE_ENV: 'production', JWT_HS256_SECRET: 's'.repeat(32) }, { JWT_PUBLIC_KEY: 'key' }])(
  'no token is printed with %o',
  (env) => {
    const settings = devSettings(env)
    expect(settings.gatewayEnv).not.toHaveProperty('DEMO_PAGE_URL')
    expect(settings.demoEnv).not.toHaveProperty('DEMO_PAGE_PORT')
    const lines = welcome({ settings, env, now: 0 }).join('\n')
    expect(lines).not.toContain('/demo')
    expect(lines).not.toMatch(/eyJ/)
    expect(lines).toContain('No token is printed and no page served')
  },
)

test('production gets no development secret', () => {
  expect(devSettings({ NODE_ENV: 'production' }).gatewayEnv).not.toHaveProperty('JWT_HS256_SECRET')
})

test('the welcome has the page, the URL, two tokens and three commands for the port in use', () => {
  const text = welcome({ settings: devSettings({ PORT: '5000' }), env: {}, now: 0 }).join('\n')
  expect(text).toContain('http://localhost:5000')
  expect(text.match(/export (?:ALICE|BOB)=eyJ\S+/g)).toHaveLength(2)
  for (const part of [
    'http://localhost:5000/demo',
    'curl',
    'GATEWAY_URL=http://localhost:5000 npm run play',
    'new WebSocket("ws://localhost:5000/ws")',
  ])
    expect(text).toContain(part)
})
