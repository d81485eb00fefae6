import type { RequestHandler } from 'express'
import express from 'express'
import { expect, test } from 'vitest'
import { inTurn } from '../src/http/in-turn.ts'

const { request, response } = express()

/** What comes out behind the handlers: the error, or undefined. */
function through(...handlers: readonly RequestHandler[]): Promise<unknown> {
  return new Promise((resolve) => void inTurn(...handlers)(request, response, resolve))
}

const pass: RequestHandler = (_request, _response, next) => next()

test('the handlers run one behind the other', async () => {
  const seen: number[] = []
  const note =
    (at: number): RequestHandler =>
    (_request, _response, next) => {
      seen.push(at)
      next()
    }
  expect(await through(note(1), note(2), note(3))).toBeUndefined()
  expect(seen).toEqual([1, 2, 3])
})

test.each<[string, RequestHandler]>([
  [
    'throws',
    () => {
      throw new Error('no')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no'))],
  ['passes an error on', (_request, _response, next) => next(new Error('no'))],
])('a handler that %s ends the turn with its error', async (_how, fail) => {
  let isReached = false
  const late: RequestHandler = (_request, _response, next) => {
    isReached = true
    next()
  }
  expect(await through(pass, fail, late)).toEqual(new Error('no'))
  expect(isReached).toBe(false)
})
