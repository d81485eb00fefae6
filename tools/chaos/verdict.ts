/**
 * The invariant: every subscriber got every accepted message once, in one common order, or was told of a reset.
 *
 *   joined 4 ▶ 5 6 7 ▶ recovered 7 ▶ 8 9 ▶ reset ▶ 14 15      a stretch ends at each reset; within one there is no hole
 */
import type { Place, Track } from './track.ts'

/** A publish that was acknowledged. */
export interface Accepted extends Place {
  readonly id: string
}

/** The count of each way to break the invariant; all must be 0 but `resets`, which a scenario may allow. */
export interface Verdict {
  readonly delivered: number
  /** Accepted, not received, and no reset said so. */
  readonly lost: number
  readonly doubled: number
  /** Before one that it should follow, or at another place than for others. */
  readonly inverted: number
  /** `recovered: true`, and then what followed did not begin there. */
  readonly falseRecovered: number
  readonly resets: number
}

/** Counts of several subscribers or channels together. */
export function sumOf(verdicts: readonly Verdict[]): Verdict {
  const total = (name: keyof Verdict): number => verdicts.reduce((sum, verdict) => sum + verdict[name], 0)
  return {
    delivered: total('delivered'),
    lost: total('lost'),
    doubled: total('doubled'),
    inverted: total('inverted'),
    falseRecovered: total('falseRecovered'),
    resets: total('resets'),
  }
}

const keyOf = ({ epoch, seq }: Place): string => `${epoch}:${seq}`

/** What several publishers were told, by its place; epochs in the order in which they were told: a later one is a later life of the log. */
export function inCommonOrder(accepted: readonly (readonly Accepted[])[]): readonly Accepted[] {
  const all = accepted.flat()
  const epochs = [...new Set(all.map(({ epoch }) => epoch))]
  return all.toSorted((a, b) => epochs.indexOf(a.epoch) - epochs.indexOf(b.epoch) || a.seq - b.seq)
}

/** Judges the subscribers of one channel. */
export function judge(tracks: readonly Track[], accepted: readonly Accepted[]): Verdict {
  // The common order: who was acknowledged where. What was published but never acknowledged is learned from subscribers.
  const order = new Map(accepted.map((message) => [keyOf(message), message.id]))
  return sumOf(tracks.map((track) => judgeOne(track, accepted, order)))
}

function judgeOne(track: Track, accepted: readonly Accepted[], order: Map<string, string>): Verdict {
  const found = { delivered: 0, lost: 0, doubled: 0, inverted: 0, falseRecovered: 0, resets: 0 }
  const seen = new Set<string>()
  /** Undefined right after a reset that did not say where it goes on. */
  let expected: Place | undefined
  let resumed = false
  for (const sight of track.sights) {
    switch (sight.kind) {
      case 'joined':
        expected = sight.place
        break
      case 'reset':
        found.resets++
        expected = sight.place
        resumed = false
        break
      case 'recovered':
        if (expected && keyOf(sight.place) !== keyOf(expected)) found.falseRecovered++
        resumed = true
        break
      case 'message': {
        found.delivered++
        const id = `${sight.epoch}/${sight.id}`
        const known = order.get(keyOf(sight))
        order.set(keyOf(sight), known ?? sight.id)
        if (seen.has(id)) {
          found.doubled++
          break
        }
        seen.add(id)
        if (known !== undefined && known !== sight.id) found.inverted++
        if (expected && expected.epoch !== sight.epoch) found.lost++
        else if (expected && sight.seq <= expected.seq) found.inverted++
        else if (expected && sight.seq > expected.seq + 1) {
          found.lost += sight.seq - expected.seq - 1
          if (resumed) found.falseRecovered++
        }
        resumed = false
        expected = sight
      }
    }
  }
  found.lost += missingTail(expected, accepted)
  return found
}

/** What was accepted behind the last place of a subscriber, in the log that lives at the end. */
function missingTail(last: Place | undefined, accepted: readonly Accepted[]): number {
  const end = accepted.at(-1)
  if (!end) return 0
  // Told of a reset, and then nothing came: at least the newest is missing.
  if (!last) return 1
  return accepted.filter(({ epoch, seq }) => epoch === end.epoch && (epoch !== last.epoch || seq > last.seq))
    .length
}
