import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createSubscriptions } from '@gw/connections'

const maxChannelsPerConnection = 3
const maxChannels = 5

type Step = readonly ['subscribe' | 'unsubscribe' | 'unsubscribeAll', string, string]

it('agrees with a list of pairs after any steps, and is empty when all have left', () => {
  const connection = fc.constantFrom('c1', 'c2', 'c3')
  const channel = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g')
  const step: fc.Arbitrary<Step> = fc.tuple(
    fc.constantFrom('subscribe', 'subscribe', 'unsubscribe', 'unsubscribeAll'),
    connection,
    channel,
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const subscriptions = createSubscriptions({ maxChannelsPerConnection, maxChannels })
      let pairs: (readonly [string, string])[] = []
      for (const [name, id, on] of steps) {
        const has = pairs.some(([one, other]) => one === id && other === on)
        const isFirst = !pairs.some(([, other]) => other === on)
        const own = pairs.filter(([one]) => one === id)
        const channels = new Set(pairs.map(([, other]) => other))
        if (name === 'subscribe') {
          const result = subscriptions.subscribe(id, on)
          if (has) expect(result).toEqual({ ok: true, isFirst: false, isRepeat: true })
          else if (own.length >= maxChannelsPerConnection)
            expect(result).toEqual({ ok: false, code: 'too_many_channels_of_connection' })
          else if (isFirst && channels.size >= maxChannels)
            expect(result).toEqual({ ok: false, code: 'too_many_channels' })
          else {
            expect(result).toEqual({ ok: true, isFirst, isRepeat: false })
            pairs.push([id, on])
          }
        } else if (name === 'unsubscribe') {
          expect(subscriptions.unsubscribe(id, on)).toBe(has)
          pairs = pairs.filter(([one, other]) => one !== id || other !== on)
        } else {
          expect([...subscriptions.unsubscribeAll(id)].sort()).toEqual(own.map(([, other]) => other).sort())
          pairs = pairs.filter(([one]) => one !== id)
        }
        expect(subscriptions.channelCount).toBe(new Set(pairs.map(([, other]) => other)).size)
        expect([...subscriptions.channels()].sort()).toEqual(
          [...new Set(pairs.map(([, other]) => other))].sort(),
        )
        expect(subscriptions.subscriberCount(on)).toBe(pairs.filter(([, other]) => other === on).length)
        expect(subscriptions.has(id, on)).toBe(pairs.some(([one, other]) => one === id && other === on))
        expect([...subscriptions.getChannels(id)].sort()).toEqual(
          pairs
            .filter(([one]) => one === id)
            .map(([, other]) => other)
            .sort(),
        )
        expect([...subscriptions.getSubscribers(on)].sort()).toEqual(
          pairs
            .filter(([, other]) => other === on)
            .map(([one]) => one)
            .sort(),
        )
      }
      for (const id of ['c1', 'c2', 'c3']) subscriptions.unsubscribeAll(id)
      expect(subscriptions.channelCount).toBe(0)
    }),
  )
})

it.each([
  { maxChannelsPerConnection: Number.NaN },
  { maxChannelsPerConnection: -1 },
  { maxChannelsPerConnection: 1, maxChannels: Number.NaN },
])('refuses the bounds %o', (options) => {
  expect(() => createSubscriptions(options)).toThrow(expect.objectContaining({ code: 'invalid' }))
})
