/** Secrets go in by every door; then every place where something is written is searched for them. */
import { connectWs, startOtlpSink } from '@gw/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { startFleet } from './harness/fleet.ts'
import { tokenOf } from './harness/platform.ts'
import { connectPlayer } from './harness/player.ts'

const said = 'CANARYTEXT-what-was-said-at-the-table'
const forged = 'CANARYTOKEN-not-a-token-at-all-0123456789'

test('no token, card or chat line reaches stdout, traces, metrics, error bodies or backends', async () => {
  await using sink = await startOtlpSink()
  await using fleet = await startFleet({
    gateways: [
      {
        LOG_LEVEL: 'debug',
        LOG_MESSAGE_SAMPLE: '1',
        WS_QUERY_TOKEN_AUTH: 'true',
        OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
        OTEL_TRACES_SAMPLER_ARG: '1',
        OTEL_BSP_SCHEDULE_DELAY: '50',
      },
    ],
  })
  const {
    demo,
    gateways: [gateway],
  } = fleet
  const bodies: string[] = []
  const keep = async (response: Response): Promise<Response> => {
    bodies.push(await response.clone().text(), JSON.stringify([...response.headers]))
    return response
  }

  // A table with a running hand, so that there are cards.
  const tableId = await gateway.createTable('ann')
  await using ann = await connectPlayer(gateway.wsUrl, 'ann')
  await ann.ask({ type: 'SubscribeTable', tableId })
  for (const [seatId, userId] of ['ann', 'ben'].entries()) await gateway.takeSeat(userId, tableId, seatId)
  const { cards } = z.object({ cards: z.array(z.unknown()) }).parse(await ann.next('HoleCards'))
  expect(cards).toHaveLength(2)

  // Text: accepted, refused, of a wrong type, in a broken frame, in broken JSON over HTTP.
  await ann.ask({ type: 'SubscribeChat', tableId })
  expect(await ann.ask({ type: 'ChatSend', tableId, message: said })).toMatchObject({ type: 'Ack' })
  await ann.ask({ type: 'ChatSend', tableId, message: said.repeat(100) })
  ann.send({ type: 'ChatSend', tableId, message: { text: said } })
  ann.socket.send(`{'type':'ChatSend','message':'${said}`)
  ann.send({ type: said, token: forged })
  await ann.next(({ type }) => type === 'Error')
  await keep(
    await fetch(`${gateway.url}/api/tables`, {
      method: 'POST',
      headers: { authorization: `Bearer ${tokenOf('ann')}`, 'content-type': 'application/json' },
      body: `{"name": "${said}", ${forged}`,
    }),
  )
  // Tokens: good ones by header, query, subprotocol and frame; bad ones the same ways.
  const good = tokenOf('cat')
  const bad = `${good.split('.').slice(0, 2).join('.')}.CANARYTOKENsignature`
  for (const token of [good, bad, forged]) {
    await keep(
      await gateway.fetch('/api/accounts/cat/balance', { headers: { authorization: `Bearer ${token}` } }),
    )
    await keep(await gateway.fetch(`/api/nowhere?token=${token}&access_token=${token}`, { userId: 'cat' }))
    await keep(
      await gateway.fetch(`/api/tables/${token === forged ? tableId : token}`, {
        headers: { cookie: `session=${token}` },
      }),
    )
    await using byQuery = await connectWs(`${gateway.wsUrl}?token=${token}`)
    await using byProtocol = await connectWs(gateway.wsUrl, { protocols: ['gateway', `bearer.${token}`] })
    await using byHeader = await connectWs(gateway.wsUrl, { headers: { authorization: `Bearer ${token}` } })
    await using byFrame = await connectWs(gateway.wsUrl)
    byFrame.send({ type: 'Authenticate', token })
    for (const socket of [byQuery, byProtocol, byHeader, byFrame])
      if (token === good) await socket.next('Welcome')
      else bodies.push((await socket.closed).reason, JSON.stringify(socket.headers))
  }
  // Backends that quote what they were given.
  await demo.fault({
    service: 'game',
    method: 'GetTable',
    kind: 'error',
    code: 'INTERNAL',
    details: `token=${forged} "text":"${said}"`,
    count: 2,
  })
  await keep(await gateway.fetch(`/api/tables/${tableId}`, { userId: 'ann' }))
  await ann.ask({ type: 'ResyncTable', tableId })

  const calls = await (await fetch(`http://127.0.0.1:${demo.ports.control}/calls`)).text()
  const metrics = await (await fetch(gateway.metricsUrl)).text()
  const openMetrics = await (
    await fetch(gateway.metricsUrl, { headers: { accept: 'application/openmetrics-text' } })
  ).text()
  await gateway.process.kill('SIGTERM')
  const traces = sink.received.map(({ raw }) => raw).join('\n')
  const output = gateway.process.output()
  expect(output).toContain('"connection_closed"')
  expect(traces).toContain('ws.chat')
  const sinks = { output, traces, metrics, openMetrics, bodies: bodies.join('\n'), calls }
  const secrets = [
    'CANARYTEXT',
    'CANARYTOKEN',
    ...[good, tokenOf('ann')].flatMap((token) => token.split('.').slice(1)),
    '"rank"',
    'holeCards',
  ]
  const hits = Object.entries(sinks).flatMap(([name, text]) =>
    secrets
      .filter((secret) => text.includes(secret))
      .map(
        (secret) =>
          `${name}: ${text.slice(Math.max(0, text.indexOf(secret) - 120), text.indexOf(secret) + 20)}`,
      ),
  )
  expect(hits).toEqual([])
}, 60_000)
