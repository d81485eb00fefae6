import { expect, test } from 'vitest'
import { Track } from '../chaos/track.ts'
import { judge } from '../chaos/verdict.ts'

const accepted = Array.from({ length: 6 }, (_, at) => ({ id: `p-${at + 1}`, epoch: 'e', seq: at + 1 }))
const clean = { lost: 0, doubled: 0, inverted: 0, falseRecovered: 0, resets: 0 }

/** A track that joined at 0; a number is that message, the words are marks. */
function trackOf(...steps: (number | 'recovered' | 'reset')[]): Track {
  const track = new Track('t')
  track.add({ kind: 'joined', place: { epoch: 'e', seq: 0 } })
  for (const step of steps)
    if (step === 'recovered') track.add({ kind: 'recovered', place: track.last ?? { epoch: 'e', seq: 0 } })
    else if (step === 'reset') track.add({ kind: 'reset', reason: 'trimmed' })
    else track.add({ kind: 'message', epoch: 'e', seq: step, id: `p-${step}` })
  return track
}

test('everything once and in order is clean, also across a recovery', () => {
  expect(judge([trackOf(1, 2, 3, 'recovered', 4, 5, 6)], accepted)).toEqual({ ...clean, delivered: 6 })
})

test('a hole, and a missing end, are lost messages', () => {
  expect(judge([trackOf(1, 2, 5)], accepted)).toMatchObject({ ...clean, lost: 3 })
})

test('a hole behind "recovered" is a false recovery too', () => {
  expect(judge([trackOf(1, 2, 'recovered', 4, 5, 6)], accepted)).toMatchObject({
    ...clean,
    lost: 1,
    falseRecovered: 1,
  })
})

test('"recovered" at another place than the subscriber has is a false recovery', () => {
  const track = trackOf(1, 2)
  track.add({ kind: 'recovered', place: { epoch: 'e', seq: 4 } })
  for (const seq of [5, 6]) track.add({ kind: 'message', epoch: 'e', seq, id: `p-${seq}` })
  expect(judge([track], accepted)).toMatchObject({ lost: 2, falseRecovered: 2 })
})

test('a message that comes again is doubled', () => {
  expect(judge([trackOf(1, 2, 2, 3, 4, 5, 6)], accepted)).toMatchObject({ ...clean, doubled: 1 })
})

test('a message behind a later one is inverted', () => {
  expect(judge([trackOf(1, 3, 2, 4, 5, 6)], accepted)).toMatchObject({ inverted: 1 })
})

test('another message at a place than its publisher was told is inverted', () => {
  const track = trackOf(1, 2, 3, 4, 5)
  track.add({ kind: 'message', epoch: 'e', seq: 6, id: 'p-7' })
  expect(judge([track], accepted)).toMatchObject({ inverted: 1 })
})

test('two subscribers that see different messages at one place are inverted, acknowledged or not', () => {
  const [a, b] = [trackOf(1), trackOf(1)]
  a.add({ kind: 'message', epoch: 'e', seq: 2, id: 'x' })
  b.add({ kind: 'message', epoch: 'e', seq: 2, id: 'y' })
  expect(judge([a, b], accepted.slice(0, 1))).toMatchObject({ ...clean, inverted: 1 })
})

test('a reset excuses what was before it, and not what comes after', () => {
  expect(judge([trackOf(1, 'reset', 4, 5, 6)], accepted)).toMatchObject({ ...clean, resets: 1 })
  expect(judge([trackOf(1, 'reset', 4, 6)], accepted)).toMatchObject({ ...clean, resets: 1, lost: 1 })
})

test('another epoch without a reset is a loss', () => {
  const track = trackOf(1, 2)
  track.add({ kind: 'message', epoch: 'f', seq: 1, id: 'p-3' })
  expect(judge([track], [...accepted.slice(0, 2), { id: 'p-3', epoch: 'f', seq: 1 }])).toMatchObject({
    lost: 1,
  })
})

test('who stays in an old epoch has lost the new one', () => {
  const end = [...accepted, { id: 'p-7', epoch: 'f', seq: 1 }]
  expect(judge([trackOf(1, 2, 3, 4, 5, 6)], end)).toMatchObject({ ...clean, lost: 1 })
})
