import type { IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { createAdmission } from '../src/ws/admission.ts'

interface Rig {
  readonly try: (address?: string) => string
  readonly enter: (address?: string) => { authenticated(): void; leave(): void }
  readonly pass: (ms: number) => void
  readonly block: (address: string) => void
  draining: boolean
}

function rig(limits: Partial<Parameters<typeof createAdmission>[0]['limits']> = {}): Rig {
  let time = 1000
  const blocked = new Set<string>()
  const request = (address: string) => ({ address }) as unknown as IncomingMessage
  const admission = createAdmission({
    limits: {
      maxConnections: 1000,
      maxUnauthenticated: 1000,
      maxPerAddress: 1000,
      acceptsPerSecond: 1000,
      acceptsPerSecondPerAddress: 1000,
      ...limits,
    },
    addressOf: (from) => (from as unknown as { address: string }).address,
    isDraining: () => self.draining,
    isBlocked: (address) => blocked.has(address),
    now: () => time,
  })
  const self: Rig = {
    try: (address = '10.0.0.1') => admission.refusalOf(request(address)) ?? 'in',
    enter(address = '10.0.0.1') {
      expect(self.try(address)).toBe('in')
      return admission.enter(address)
    },
    pass: (ms) => (time += ms),
    block: (address) => blocked.add(address),
    draining: false,
  }
  return self
}

test('sockets are counted for the instance, for their address, and until they authenticate', () => {
  const full = rig({ maxConnections: 2 })
  const place = full.enter()
  full.enter('10.0.0.2')
  expect(full.try('10.0.0.3')).toBe('capacity')
  place.leave()
  place.leave()
  full.enter('10.0.0.3')
  expect(full.try('10.0.0.4')).toBe('capacity')

  const shared = rig({ maxPerAddress: 1, acceptsPerSecondPerAddress: 100 })
  const only = shared.enter()
  expect([shared.try(), shared.try('10.0.0.2')]).toEqual(['address_capacity', 'in'])
  only.leave()
  expect(shared.try()).toBe('in')

  const silent = rig({ maxUnauthenticated: 1 })
  const waiting = silent.enter()
  expect(silent.try('10.0.0.2')).toBe('unauthenticated_capacity')
  waiting.authenticated()
  const next = silent.enter('10.0.0.2')
  waiting.leave()
  expect(silent.try('10.0.0.3')).toBe('unauthenticated_capacity')
  next.leave()
  expect(silent.try('10.0.0.3')).toBe('in')
})

test('the instance takes so many in a second, at once or spread, and no more', () => {
  const busy = rig({ acceptsPerSecond: 10 })
  const taken = (times: number): number =>
    Array.from({ length: times }, (_, at) => busy.try(`10.0.1.${at}`)).filter((answer) => answer === 'in')
      .length
  expect(taken(30)).toBe(10)
  expect(busy.try()).toBe('pace')
  busy.pass(100)
  expect(taken(30)).toBe(1)
  busy.pass(60_000)
  expect(taken(30)).toBe(10)
})

test('an address may open at once all the sockets that it may have, then goes by its pace; a refusal costs nothing', () => {
  const one = rig({ maxPerAddress: 20, acceptsPerSecondPerAddress: 5 })
  for (let at = 0; at < 20; at++) one.enter().leave()
  for (let at = 0; at < 50; at++) expect(one.try()).toBe('address_pace')
  expect(one.try('10.0.0.2')).toBe('in')
  one.pass(200)
  expect([one.try(), one.try()]).toEqual(['in', 'address_pace'])
})

test('nobody comes in while it drains, nor from an address that was caught guessing', () => {
  const one = rig()
  one.block('10.0.0.9')
  expect([one.try('10.0.0.9'), one.try()]).toEqual(['address_blocked', 'in'])
  one.draining = true
  expect(one.try()).toBe('draining')
})
