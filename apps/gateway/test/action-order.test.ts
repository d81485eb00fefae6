import type { ActionResult } from '@gw/protocol'
import { expect, test } from 'vitest'
import type { TableFacts } from '../src/services/table-facts.ts'
import { createActionOrder } from '../src/ws/action-order.ts'
import type { Applied } from '../src/ws/apply-once.ts'

const facts = (acted: number, handId = 'H'): TableFacts => ({
  version: acted,
  handId,
  turn: undefined,
  seated: new Set(),
  spectators: new Set(),
  acted: new Map([['ann', acted]]),
})

const fold = { type: 'Action', tableId: 'T', action: 'Fold' } as const
const ann = { connectionId: 'c', userId: 'ann' }

function setUp({ watches = true, waitMs = 60_000 } = {}) {
  let listener: ((facts: TableFacts) => void) | undefined
  const steps: string[] = []
  const order = createActionOrder({
    waitMs,
    channels: { has: () => watches },
    watch: {
      latest: () => facts(1),
      onFacts(_tableId, added) {
        listener = added
        return () => (listener = undefined)
      },
    },
  })
  async function act(answer: Partial<ActionResult> = {}, duplicate = false): Promise<Applied> {
    const result: ActionResult = { type: 'ActionResult', tableId: 'T', accepted: true, reason: '', ...answer }
    return { answer: result, duplicate }
  }
  return {
    steps,
    act,
    isListening: () => listener !== undefined,
    show: (next: TableFacts) => {
      steps.push('state')
      listener?.(next)
    },
    run: (attempt: () => Promise<Applied>) =>
      order(fold, ann, attempt).finally(() => {
        steps.push('answer')
      }),
  }
}

test.each([
  ['the own action', facts(2)],
  ['the next hand', facts(0, 'H2')],
])('an accepted action is answered behind the state that shows %s', async (_what, shown) => {
  const { run, show, act, steps, isListening } = setUp()
  const running = run(act)
  show(facts(1))
  await new Promise((resolve) => setImmediate(resolve))
  show(shown)
  expect(await running).toMatchObject({ answer: { accepted: true } })
  expect(steps).toEqual(['state', 'state', 'answer'])
  expect(isListening()).toBe(false)
})

test('a state that comes while Game is still asked counts too', async () => {
  const { run, show, act, steps } = setUp()
  await run(() => {
    show(facts(2))
    return act()
  })
  expect(steps).toEqual(['state', 'answer'])
})

test('nothing is waited for after a refusal, after a repeat, and on a socket that does not watch', async () => {
  const { run, act } = setUp()
  await run(() => act({ accepted: false, reason: 'NOT_YOUR_TURN' }))
  await run(() => act({}, true))
  const elsewhere = setUp({ watches: false })
  await elsewhere.run(elsewhere.act)
})

test('an update that never comes is not waited for for ever', async () => {
  const { run, act, isListening } = setUp({ waitMs: 1 })
  expect(await run(act)).toMatchObject({ answer: { accepted: true } })
  expect(isListening()).toBe(false)
})

test('an action that throws leaves nobody listening', async () => {
  const { run, isListening } = setUp()
  await expect(run(async () => Promise.reject(new Error('away')))).rejects.toThrow('away')
  expect(isListening()).toBe(false)
})
