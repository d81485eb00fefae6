import { devToken } from './dev-token.ts'
import type { DevSettings } from './dev-settings.ts'

export interface WelcomeOptions {
  readonly settings: DevSettings
  readonly env: NodeJS.ProcessEnv
  /** Seconds since the epoch. */
  readonly now: number
}

/** What is printed when everything is up: the page and the URL, tokens for two demo users, three commands to try. */
export function welcome({ settings, env, now }: WelcomeOptions): readonly string[] {
  const { port, tokenSecret } = settings
  const url = `http://localhost:${port}`
  const kept = (env['REDIS_URL'] ?? '') === '' ? 'in memory (set REDIS_URL for Redis)' : 'in Redis'
  const head = [
    '',
    ...(tokenSecret === undefined ? [] : ['Play a hand in the browser:', '', `  ▶  ${url}/demo`, '']),
    `The gateway is ready: ${url}   WebSocket: ws://localhost:${port}/ws   State: ${kept}`,
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
    `const s = new WebSocket("ws://localhost:${port}/ws"); s.onmessage = (m) => console.log(m.data); ` +
    's.onopen = () => s.send(JSON.stringify({ type: "Authenticate", token: process.env.ALICE }))'
  const node = process.platform === 'linux' ? 'node_modules/.bin/node' : 'node'
  const play = port === 4000 ? 'npm run play' : `GATEWAY_URL=${url} npm run play`
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
