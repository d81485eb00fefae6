/** One player's click, seen in a real OTLP sink: gateway A, Game, the publish, gateway B, the receiver. */
import { type ReceivedSpan, startOtlpSink, type TestMessage } from '@gw/testing'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { startFleet } from './harness/fleet.ts'
import { connectPlayer, type Player } from './harness/player.ts'

const recordedCalls = z.object({
  calls: z.array(z.object({ metadata: z.record(z.string(), z.string()) })),
})
const positioned = z.object({ epoch: z.string(), seq: z.int() })
const [server, client, producer, consumer] = [2, 3, 4, 5]

const isTurnOf =
  (userId: string) =>
  ({ type, tableState }: TestMessage): boolean => {
    const text = JSON.stringify(tableState)
    return type === 'TableSnapshot' && text.includes('"PREFLOP"') && text.includes(userId)
  }

/** Whose turn it is, by the seats that were taken. */
function actorOf(snapshot: TestMessage, players: readonly Player[]): Player {
  const { hand } = z.object({ hand: z.object({ turn: z.int() }) }).parse(snapshot['tableState'])
  const player = players[hand.turn]
  if (!player) throw new Error(`nobody sits on seat ${hand.turn}`)
  return player
}

test('a click is one trace: handler, Game, publish, delivery on both instances, with right parents and links', async () => {
  await using sink = await startOtlpSink()
  await using fleet = await startFleet({
    gateways: [{ INSTANCE_ID: 'a' }, { INSTANCE_ID: 'b' }],
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: sink.endpoint,
      OTEL_TRACES_SAMPLER_ARG: '1',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test',
    },
  })
  const {
    demo,
    gateways: [a, b],
  } = fleet
  const tableId = await a.createTable('ann')
  await using ann = await connectPlayer(a.wsUrl, 'ann')
  await using ben = await connectPlayer(b.wsUrl, 'ben')
  for (const player of [ann, ben]) await player.ask({ type: 'SubscribeTable', tableId })
  for (const [seatId, { userId }] of [ann, ben].entries()) await a.takeSeat(userId, tableId, seatId)
  const dealt = await ann.next(isTurnOf('ann'))

  // The click: whoever is to act folds, and the other one, on the other instance, sees it.
  const actor = actorOf(dealt, [ann, ben])
  const other = actor === ann ? ben : ann
  const home = actor === ann ? 'a' : 'b'
  expect(await actor.ask({ type: 'Action', tableId, action: 'Fold' })).toMatchObject({ accepted: true })
  const isOver = ({ type, tableState }: TestMessage): boolean =>
    type === 'TableSnapshot' && /"endedAt":"/.test(JSON.stringify(tableState))
  const seen = positioned.parse(await other.next(isOver))

  const at = ({ resource }: ReceivedSpan): unknown => resource['service.instance.id']
  const isDelivery = (span: ReceivedSpan): boolean =>
    span.name === 'deliver table' && span.attributes['gateway.seq'] === seen.seq
  const click = await sink.span(
    (span) => span.attributes['ws.message_type'] === 'Action' && at(span) === home,
    'the message',
  )
  const inTrace = (what: string, matches: (span: ReceivedSpan) => boolean): Promise<ReceivedSpan> =>
    sink.span((span) => span.traceId === click.traceId && matches(span), what)
  const call = await inTrace('the call', ({ name }) => name === 'game.GameService/SubmitAction')
  const publish = await inTrace(
    'the publish',
    ({ name, attributes }) => name === 'publish table' && attributes['gateway.seq'] === seen.seq,
  )
  const deliveries = [
    await inTrace('the delivery on a', (span) => isDelivery(span) && at(span) === 'a'),
    await inTrace('the delivery on b', (span) => isDelivery(span) && at(span) === 'b'),
  ]

  expect(click).toMatchObject({
    name: 'ws.table',
    kind: server,
    parentSpanId: '',
    attributes: { 'ws.hub': 'table', 'ws.result': 'ok', 'poker.table_id': tableId },
    resource: { 'service.name': 'gateway-service', 'deployment.environment.name': 'test' },
  })
  expect(call).toMatchObject({
    kind: client,
    parentSpanId: click.spanId,
    attributes: { 'rpc.system.name': 'grpc', 'rpc.response.status_code': 'OK' },
  })
  expect(at(call)).toBe(home)
  // Game has no span of its own: what it publishes names the call that it serves.
  expect(publish).toMatchObject({ kind: producer, parentSpanId: call.spanId })
  for (const delivery of deliveries)
    expect(delivery).toMatchObject({
      kind: consumer,
      parentSpanId: publish.spanId,
      links: [{ traceId: publish.traceId, spanId: publish.spanId }],
      attributes: { 'messaging.destination.name': `table:${tableId}`, 'gateway.receivers': 1 },
    })

  // The same ids reached Game, and Redis's spans hang below; of files there are none.
  const recorded = await fetch(
    `http://127.0.0.1:${demo.ports.control}/calls?service=game&method=SubmitAction`,
  )
  const [submitted] = recordedCalls.parse(await recorded.json()).calls
  expect(submitted?.metadata).toMatchObject({
    traceparent: `00-${click.traceId}-${call.spanId}-01`,
    'x-request-id': expect.stringMatching(/^[0-9a-f-]{36}\.\d+$/),
  })
  const names = new Set(sink.received.map(({ name }) => name.replace(/^(deliver|publish|ws\.).*/, '$1')))
  expect([...names].filter((name) => /^(fs|dns|net|tcp|middleware)/i.test(name))).toEqual([])
  expect(names).toContain('EVALSHA')
}, 60_000)
