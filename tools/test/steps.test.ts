import { expect, test } from 'vitest'
import { runSteps, type Step, type StepResult } from '../lib/steps.ts'

function ok(name: string, after: readonly string[] = []): Step {
  return { name, after, check: async () => [] }
}

async function statuses(steps: readonly Step[], limit = 2): Promise<Record<string, string>> {
  const results = await runSteps(steps, { limit, onResult: () => {} })
  return Object.fromEntries(results.map(({ name, status }) => [name, status]))
}

test('a problem or a throw fails the step, and what comes after it is skipped', async () => {
  const steps: Step[] = [
    ok('a'),
    { name: 'b', check: async () => ['wrong'] },
    {
      name: 'c',
      check: async () => {
        throw new Error('broken')
      },
    },
    ok('d', ['b']),
    ok('e', ['d']),
    ok('f', ['a']),
  ]
  expect(await statuses(steps)).toEqual({
    a: 'passed',
    b: 'failed',
    c: 'failed',
    d: 'skipped',
    e: 'skipped',
    f: 'passed',
  })
})

test('never more at once than the limit, and as many as the limit', async () => {
  let running = 0
  let most = 0
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const steps = gates.map(({ promise }, at) => ({
    name: String(at),
    check: async () => {
      most = Math.max(most, ++running)
      await promise
      running--
      return []
    },
  }))
  const done = runSteps(steps, { limit: 2, onResult: ({ name }) => gates[Number(name) + 2]?.resolve() })
  gates[0]?.resolve()
  gates[1]?.resolve()
  await done
  expect(most).toBe(2)
})

test('results are told as they come, and returned in the order of the steps', async () => {
  const told: string[] = []
  const slow = Promise.withResolvers<void>()
  const steps: Step[] = [
    {
      name: 'slow',
      check: async () => {
        await slow.promise
        return []
      },
    },
    ok('quick'),
  ]
  const onResult = ({ name }: StepResult): void => {
    told.push(name)
    if (name === 'quick') slow.resolve()
  }
  const results = await runSteps(steps, { limit: 2, onResult })
  expect(told).toEqual(['quick', 'slow'])
  expect(results.map(({ name }) => name)).toEqual(['slow', 'quick'])
})

test('steps that wait for something unknown or for each other are refused', async () => {
  await expect(statuses([ok('a', ['x'])])).rejects.toThrow('a waits for x')
  await expect(statuses([ok('a', ['b']), ok('b', ['a'])])).rejects.toThrow('a, b wait for each other')
})
