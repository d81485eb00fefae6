import { expect, test } from 'vitest'
import { formatLogLine } from '../lib/log-line.ts'

const line = JSON.stringify({
  level: 'warn',
  time: '2026-11-23T10:11:12.345Z',
  pid: 1,
  hostname: 'h',
  msg: 'backend down',
  backend: 'game',
  attempt: 2,
  err: { type: 'Error' },
})

test('a JSON line becomes time, level, source, message and fields, without pid and hostname', () => {
  expect(formatLogLine(line, { source: 'gateway' })).toBe(
    '10:11:12 warn  gateway backend down backend=game attempt=2 err={"type":"Error"}',
  )
})

test('only the level is coloured, and only when asked', () => {
  expect(formatLogLine(line, { source: 'gateway', color: true })).toContain('\u001B[33mwarn \u001B[0m')
  expect(formatLogLine(line, { source: 'gateway' })).not.toContain('\u001B')
})

test.each(['plain text', '{"broken":', '[1]', '{'])('%s is passed through', (text) => {
  expect(formatLogLine(text, { source: 'demo' }).trimEnd().endsWith(text)).toBe(true)
})
