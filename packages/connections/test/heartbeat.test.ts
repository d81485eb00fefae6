import { describe, expect, it } from 'vitest'
import { createHeartbeat, type HeartbeatTarget } from '@gw/connections'

/** A peer that answers as long as it lives. */
function createPeer(
  id: string,
): HeartbeatTarget & { lives: boolean; pings: number[]; endedAt: number | undefined } {
  const peer = {
    id,
    lives: true,
    pings: [] as number[],
    endedAt: undefined as number | undefined,
    isAlive: true,
    ping() {
      peer.pings.push(time)
      peer.isAlive = peer.lives
    },
    terminate() {
      peer.endedAt ??= time
    },
  }
  return peer
}

let time = 0

function createClock(): {
  schedule: (step: () => void, ms: number) => () => void
  advance: (ms: number) => void
  running: boolean
} {
  time = 0
  let every = { step: (): void => {}, ms: 1 }
  const clock = {
    running: false,
    schedule(step: () => void, ms: number) {
      every = { step, ms }
      clock.running = true
      return () => void (clock.running = false)
    },
    advance(ms: number) {
      for (const end = time + ms; time + every.ms <= end;) {
        time += every.ms
        every.step()
      }
    },
  }
  return clock
}

describe('createHeartbeat', () => {
  it('pings each connection once per interval, at a phase of its own', () => {
    const clock = createClock()
    let place = 0
    const heartbeat = createHeartbeat({
      intervalMs: 10_000,
      schedule: clock.schedule,
      random: () => (place += 0.25) % 1,
    })
    const peers = ['a', 'b', 'c'].map(createPeer)
    for (const peer of peers) heartbeat.add(peer)
    heartbeat.add(createPeer('a'))
    clock.advance(30_000)
    expect(peers.map(({ pings }) => pings)).toEqual([
      [2500, 12_500, 22_500],
      [5000, 15_000, 25_000],
      [7500, 17_500, 27_500],
    ])
    expect(heartbeat.size).toBe(3)
  })

  it.each([0, 0.31, 0.99])('ends a peer that fell silent within 30 s, at phase %d', (phase) => {
    const clock = createClock()
    const dead: string[] = []
    const heartbeat = createHeartbeat({
      schedule: clock.schedule,
      random: () => phase,
      onDead: ({ id }) => dead.push(id),
    })
    const peer = createPeer('a')
    const other = createPeer('b')
    heartbeat.add(peer)
    heartbeat.add(other)
    clock.advance(60_000)
    // The worst moment: right after an answer.
    peer.lives = false
    const silentSince = peer.pings.at(-1) ?? 0
    clock.advance(31_000)
    expect(peer.endedAt).toBeDefined()
    expect((peer.endedAt ?? 0) - silentSince).toBeLessThanOrEqual(30_250)
    expect(other.endedAt).toBeUndefined()
    expect(dead[0]).toBe('a')
  })

  it('leaves alone who was removed, and stops its one timer', () => {
    const clock = createClock()
    const heartbeat = createHeartbeat({ schedule: clock.schedule })
    const peer = createPeer('a')
    heartbeat.add(peer)
    heartbeat.remove(peer)
    clock.advance(60_000)
    expect(peer.pings).toEqual([])
    heartbeat.close()
    expect([heartbeat.size, clock.running]).toEqual([0, false])
  })

  it('refuses times that make no sense', () => {
    for (const options of [
      { intervalMs: 1000, timeoutMs: 1000 },
      { intervalMs: Number.NaN },
      { intervalMs: Infinity, timeoutMs: 1000 },
    ])
      expect(() => createHeartbeat(options)).toThrow(TypeError)
  })
})
