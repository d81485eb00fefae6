import { devToken } from './dev-token.ts'
import type { DevSettings } from './dev-settings.ts'

export interface WelcomeOptions {
  readonly settings: DevSettings
  readonly env: NodeJS.ProcessEnv
  /** Seconds since the epoch. */
  readonly now: number
}

/** How a browser on this machine writes it; from a wildcard it comes by loopback. */
function reachable(host: string): string {
  if (['127.0.0.1', '0.0.0.0', '::1', '::', 'localhost'].includes(host)) return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

/** What is printed when everything is up: the page and the URL, tokens for two demo users, three commands to try. */
export function welcome({ settings, env, now }: WelcomeOptions): readonly string[] {
  const { host, port, tokenSecret } = settings
  const address = `${reachable(host)}:${port}`
  const url = `http://${address}`
  const kept = (env['REDIS_URL'] ?? '') === '' ? 'in memory (set REDIS_URL for Redis)' : 'in Redis'
  const head = [
    '',
    ...(tokenSecret === undefined ? [] : ['Play a hand in the browser:', '', `  ▶  ${url}/demo`, '']),
    `The gateway is ready: ${url}   WebSocket: ws://${address}/ws   State: ${kept}`,
    '',
  ]
  const foot = ['', 'Ctrl-C stops everything.', '']
  if (tokenSecret === undefined)
    return [
      ...head,
      'No token is printed and no page served: that is for NODE_ENV=development with an HS256 secret only.',
      ...foot,
    ]
  const token = (user: string): string =>
    devToken({
      user,
      secret: tokenSecret,
      now,
      issuer: env['JWT_ISSUER'],
      audience: env['JWT_AUDIENCE'],
    })
  const script =
    `const s = new WebSocket("ws://${address}/ws"); s.onmessage = (m) => console.log(m.data); ` +
    's.onopen = () => s.send(JSON.stringify({ type: "Authenticate", token: process.env.ALICE }))'
  const node = process.platform === 'linux' ? 'node_modules/.bin/node' : 'node'
  const play = url === 'http://localhost:4000' ? 'npm run play' : `GATEWAY_URL=${url} npm run play`
  return [
    ...head,
    'Tokens of two demo users, good for 12 hours (development only). Paste into another terminal:',
    '',
    `  export ALICE=${token('alice')}`,
    `  export BOB=${token('bob')}`,
    '',
    'Then try:',
    '',
    '  1. the tables, over HTTP',
    `     curl -s -H "Authorization: Bearer $ALICE" ${url}/api/tables`,
    '',
    '  2. a whole hand: two players and a spectator',
    `     ${play}`,
    '',
    '  3. a socket of your own (Ctrl-C ends it)',
    `     ${node} -e '${script}'`,
    ...foot,
  ]
}
