/** What a hostile peer sends: each gets a plain answer or a closed connection, and nobody else notices. */
import { afterAll, afterEach, expect, test } from 'vitest'
import { startSingle } from './harness/fleet.ts'
import { tokenOf } from './harness/platform.ts'
import { connectPlayer, type Player } from './harness/player.ts'
import { raw as rawTo, statuses } from './harness/raw-http.ts'

const single = await startSingle({ env: { MAX_CONNECTIONS_PER_ADDRESS: '40' } })
const { gateway } = single
const neighbour = await connectPlayer(gateway.wsUrl, 'neighbour')

afterAll(async () => {
  for (const part of [neighbour, single]) await part[Symbol.asyncDispose]()
})

afterEach(async () => {
  expect(await neighbour.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect((await gateway.fetch('/health')).status).toBe(200)
  expect(
    gateway.process.lines.filter(({ level, msg }) => level === 'error' || msg === 'unhandled_rejection'),
  ).toEqual([])
})

const auth = () => `Authorization: Bearer ${tokenOf('hostile')}\r\n`

const raw = (bytes: string | Buffer): Promise<string> => rawTo(bytes, { url: gateway.url })

/** A second request behind the first: must never be served. */
const smuggled = 'GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'

test.each([
  [
    'a length and a coding',
    `POST /api/tables HTTP/1.1\r\nHost: x\r\n${auth()}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
  ],
  [
    'two lengths',
    `POST /api/tables HTTP/1.1\r\nHost: x\r\n${auth()}Content-Length: 0\r\nContent-Length: 5\r\n\r\n${smuggled}`,
  ],
  [
    'an unknown coding',
    `POST /api/tables HTTP/1.1\r\nHost: x\r\n${auth()}Transfer-Encoding: xchunked\r\n\r\n${smuggled}`,
  ],
  ['two hosts', `GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${smuggled}`],
  ['no host', `GET /health HTTP/1.1\r\n\r\n${smuggled}`],
  ['absolute form', `GET http://evil.example/health HTTP/1.1\r\nHost: x\r\n\r\n${smuggled}`],
  ['a space before the colon', `GET /health HTTP/1.1\r\nHost : x\r\n\r\n${smuggled}`],
  ['a folded header', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n${smuggled}`],
  ['a NUL in a header', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n${smuggled}`],
  ['a request line that ends with a bare LF', `GET /health HTTP/1.1\nHost: x\r\n\r\n${smuggled}`],
  ['a header that ends with a bare LF', `GET /health HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n${smuggled}`],
  ['a head that ends with a bare LF', `GET /health HTTP/1.1\r\nHost: x\r\n\n${smuggled}`],
  ['headers of 20 kB', `GET /health HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n${smuggled}`],
  ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
])('%s: refused, and nothing behind it is served', async (_what, bytes) => {
  const answer = statuses(await raw(bytes))
  expect(answer).toHaveLength(1)
  expect(['400', '431', '501']).toContain(answer[0])
})

const upgrade = (fields: string, start = 'GET /ws HTTP/1.1') =>
  `${start}\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${fields}\r\n${smuggled}`
const key = `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}\r\n`

test.each([
  ['a wrong version', upgrade(`Sec-WebSocket-Version: 777\r\n${key}`), '400'],
  ['no key', upgrade('Sec-WebSocket-Version: 13\r\n'), '400'],
  ['a short key', upgrade('Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n'), '400'],
  ['a body', upgrade(`Sec-WebSocket-Version: 13\r\nContent-Length: 4\r\n${key}`), '400'],
  ['a POST', upgrade(`Sec-WebSocket-Version: 13\r\n${key}`, 'POST /ws HTTP/1.1'), '405'],
  ['another path', upgrade(`Sec-WebSocket-Version: 13\r\n${key}`, 'GET /ws/../admin HTTP/1.1'), '404'],
  [
    'h2c',
    `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n${smuggled}`,
    '400',
  ],
  [
    'a foreign page',
    upgrade(`Sec-WebSocket-Version: 13\r\nOrigin: https://localhost:3000.evil.example\r\n${key}`),
    '403',
  ],
  ['the page of nobody', upgrade(`Sec-WebSocket-Version: 13\r\nOrigin: null\r\n${key}`), '403'],
])(
  'an upgrade with %s is refused with its status, and nothing behind it is served',
  async (_what, bytes, status) => {
    expect(statuses(await raw(bytes))).toEqual([status])
  },
)

test('a GET with a body is answered, not awaited', async () => {
  const answer = await raw(
    `GET /api/tables HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${auth()}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`,
  )
  expect(statuses(answer)).toEqual(['200'])
})

test('errors tell no stack and no path: broken JSON, a large body, a poisoned one', async () => {
  const post = async (body: string) => {
    const response = await fetch(`${gateway.url}/api/tables`, {
      method: 'POST',
      body,
      headers: { authorization: `Bearer ${tokenOf('hostile')}`, 'content-type': 'application/json' },
    })
    return [response.status, response.headers.get('content-type'), await response.text()] as const
  }
  for (const [body, status] of [
    ['{"name":', 400],
    [`{"name":"${'x'.repeat(120_000)}"}`, 413],
    ['{"__proto__":{"name":"x"}}', 400],
    ['[]', 400],
  ] as const) {
    const [answered, type, text] = await post(body)
    expect([answered, type]).toEqual([status, 'application/json; charset=utf-8'])
    expect(text).not.toMatch(/at .*\(|node_modules|\.ts|\.js/)
    expect(JSON.parse(text)).toMatchObject({
      error: expect.any(String),
      code: expect.any(String),
      requestId: expect.any(String),
    })
  }
})

/** A client frame; masked as it must be unless told otherwise. */
function frame(first: number, payload: Buffer, masked = true): Buffer {
  const { length } = payload
  const head = length < 126 ? [first, length] : [first, 126, length >> 8, length & 255]
  if (masked && head[1] !== undefined) head[1] |= 0x80
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([Buffer.from(head), masked ? Buffer.alloc(4) : Buffer.alloc(0), payload])
}

const text = (value: string) => frame(0x81, Buffer.from(value))
const closeCodeOf = (answer: string): number => {
  const bytes = Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1')
  const at = bytes.indexOf(0x88)
  return at < 0 || bytes.length < at + 4 ? 0 : bytes.readUInt16BE(at + 2)
}

test.each([
  ['unmasked', frame(0x81, Buffer.from('{}'), false), 1002],
  ['with RSV1, as if compressed', frame(0xc1, Buffer.from('{}')), 1002],
  ['with a reserved opcode', frame(0x83, Buffer.from('{}')), 1002],
  ['a fragmented ping', frame(0x09, Buffer.from('x')), 1002],
  ['a ping that is too long', frame(0x89, Buffer.alloc(126)), 1002],
  ['a continuation of nothing', frame(0x80, Buffer.from('x')), 1002],
  ['bad UTF-8', frame(0x81, Buffer.from([0xff, 0xfe])), 1007],
  ['a close with one byte', frame(0x88, Buffer.from([3])), 1002],
  ['a close with a code that must not be sent', frame(0x88, Buffer.from([0x03, 0xed])), 1002],
  [
    'more than 64 KiB',
    Buffer.concat([Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 2, 0, 0]), Buffer.alloc(4)]),
    1009,
  ],
  [
    'a hundred tiny fragments',
    Buffer.concat([
      frame(0x01, Buffer.from('a')),
      ...Array.from({ length: 100 }, () => frame(0x00, Buffer.from('a'))),
    ]),
    1008,
  ],
])('a frame %s closes its own socket with %i', async (_what, bytes, code) => {
  const handshake = `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n${key}\r\n`
  const answer = await raw(Buffer.concat([Buffer.from(handshake), bytes]))
  expect(answer).toMatch(/^HTTP\/1\.1 101/)
  expect(answer).not.toContain('Sec-WebSocket-Extensions')
  expect(closeCodeOf(answer)).toBe(code)
})

test('early frames are held only so long: too many, or too much, closes', async () => {
  const handshake = Buffer.from(
    `GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n${key}\r\n`,
  )
  const many = Array.from({ length: 40 }, () => text('{"type":"Ping"}'))
  expect(closeCodeOf(await raw(Buffer.concat([handshake, ...many])))).toBe(1008)
  const much = Array.from({ length: 3 }, () => text(`{"type":"Ping","pad":"${'x'.repeat(30_000)}"}`))
  expect(closeCodeOf(await raw(Buffer.concat([handshake, ...much])))).toBe(1008)
})

test('deep and wide JSON is refused quickly, and the socket goes on', async () => {
  await using deep = await connectPlayer(gateway.wsUrl, 'deep')
  deep.socket.send('['.repeat(60_000))
  expect(await deep.next('Error')).toMatchObject({ code: 'invalid_message' })
  deep.socket.send(
    `{"type":"Ping","id":"w",${Array.from({ length: 5000 }, (_, at) => `"k${at}":1`).join(',')}}`,
  )
  expect(await deep.next('Pong')).toMatchObject({ id: 'w' })
})

test('half a surrogate pair in a name or an id is refused as such, and is no failure of ours', async () => {
  await using player = await connectPlayer(gateway.wsUrl, 'host-half')
  const frames = [
    String.raw`{"type":"LeaveTable","tableId":"t","id":"a\ud800"}`,
    String.raw`{"type":"ChatSend","tableId":"t\ud800","message":"x"}`,
    String.raw`{"type":"SubscribeChat","tableId":"t\udfff"}`,
  ]
  for (const frame of frames) {
    player.socket.send(frame)
    expect(await player.next('Error')).toMatchObject({ code: 'invalid_message', retryable: false })
  }
  expect(await player.ask({ type: 'Ping' })).toMatchObject({ type: 'Pong' })
  expect(gateway.process.lines.filter(({ msg }) => msg === 'message_failed')).toEqual([])
})

test('sockets of one address are capped: the next one gets 503 with a time, and a place is free again after a close', async () => {
  const open: Player[] = []
  let refused: unknown
  for (let at = 0; at < 45 && refused === undefined; at++) {
    try {
      open.push(await connectPlayer(gateway.wsUrl, `cap-${at}`))
    } catch (error) {
      refused = error
    }
  }
  expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '2' } })
  for (const player of open) await player.socket.close()
  await expect
    .poll(() =>
      connectPlayer(gateway.wsUrl, 'cap-again').then(
        (player) => player.socket.close().then(() => 'in'),
        () => 'out',
      ),
    )
    .toBe('in')
})
