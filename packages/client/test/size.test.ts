import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { measureSize } from '../bench/measure-size.ts'

test('the SDK stays under 6 kB gzip with its part of the protocol, and the README says how big it is', async () => {
  const { gzip } = await measureSize()
  expect(gzip).toBeLessThan(6000)
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const stated = Number(/([\d.]+) kB gzip/.exec(readme)?.[1])
  expect(Math.abs(stated - gzip / 1000)).toBeLessThan(0.3)
})
