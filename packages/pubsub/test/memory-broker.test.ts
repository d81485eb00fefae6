import { describe, expect, test } from 'vitest'
import { type Broker, createMemoryBroker } from '@gw/pubsub'
import { classes, describeBroker } from './contract.ts'
import { brokenOptions } from './broken-options.ts'
import { Recorder } from './recorder.ts'

describe('memory broker', () => {
  describeBroker(async () => {
    const brokers: Broker[] = []
    return {
      shared: false,
      connect: () => {
        const broker = createMemoryBroker({ classes })
        brokers.push(broker)
        return broker
      },
      async [Symbol.asyncDispose]() {
        await Promise.all(brokers.map(async (broker) => broker.close()))
      },
    }
  })
})

test.each([...brokenOptions, { idleTtlMs: Number.NaN }, { idleTtlMs: 0 }])(
  'refuses the options %o',
  (options) => {
    expect(() => createMemoryBroker(options)).toThrow(expect.objectContaining({ code: 'invalid' }))
  },
)

test('a quiet channel with subscribers goes on; its idle time begins when the last one left', async () => {
  let nowMs = 1_000_000
  const idleTtlMs = 1000
  let leave = (): void => {}
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  const broker = createMemoryBroker({
    now: () => nowMs,
    idleTtlMs,
    lingerMs: 1,
    onEvent: ({ type }) => {
      if (type === 'left') leave()
    },
  })
  const recorder = new Recorder()
  const subscription = await broker.subscribe('room', recorder)
  subscription.start()
  await broker.publish('room', '1')
  nowMs += 10 * idleTtlMs
  await broker.publish('room', '2')
  await recorder.count(2)
  expect(recorder.items.map(({ seq }) => seq)).toEqual([1, 2])
  expect(recorder.resets).toEqual([])
  nowMs += 10 * idleTtlMs
  subscription.close()
  await left
  nowMs += idleTtlMs
  expect(await broker.publish('room', '3')).toMatchObject({ seq: 3 })
  nowMs += idleTtlMs + 1
  expect(await broker.publish('room', '4')).toMatchObject({ seq: 1 })
  await broker.close()
})
