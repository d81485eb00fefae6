import { expect, test } from 'vitest'
import { shareRounds } from '../src/ws/share-rounds.ts'

/** Each question is answered by its number, when told so. */
function createQuestion() {
  const asked: PromiseWithResolvers<number>[] = []
  const wasAsked: PromiseWithResolvers<void>[] = [Promise.withResolvers()]
  return {
    get count() {
      return asked.length
    },
    ask() {
      asked.push(Promise.withResolvers())
      wasAsked.at(-1)?.resolve()
      wasAsked.push(Promise.withResolvers())
      return asked.at(-1)?.promise ?? Promise.reject(new Error('Nothing was asked'))
    },
    /** Resolves when the question of this number is under way. */
    begun: (number: number) => wasAsked[number - 1]?.promise,
    answer: (number: number) => asked[number - 1]?.resolve(number),
    fail: (number: number) => asked[number - 1]?.reject(new Error(`No answer to ${number}`)),
  }
}

test('who asks together shares a question; who comes while it is under way shares the next one', async () => {
  const question = createQuestion()
  const ask = shareRounds(() => question.ask())
  const first = [ask(), ask()]
  await question.begun(1)
  const late = [ask(), ask(), ask()]
  expect(question.count).toBe(1)
  question.answer(1)
  expect(await Promise.all(first)).toEqual([1, 1])
  await question.begun(2)
  question.answer(2)
  expect(await Promise.all(late)).toEqual([2, 2, 2])
  const alone = ask()
  await question.begun(3)
  question.answer(3)
  expect(await alone).toBe(3)
})

test('a failure is shared by those who asked for it and by nobody else', async () => {
  const question = createQuestion()
  const ask = shareRounds(() => question.ask())
  const first = Promise.allSettled([ask(), ask()])
  await question.begun(1)
  const late = ask()
  question.fail(1)
  expect((await first).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  await question.begun(2)
  question.answer(2)
  expect(await late).toBe(2)
})
