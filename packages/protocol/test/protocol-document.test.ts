import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  actionReasons,
  chatErrorReasons,
  closeCodes,
  errorCodes,
  features,
  limits,
  playerActions,
  resetReasons,
  retryAfterClose,
  subprotocol,
} from '@gw/protocol'
import { clientSchemas, serverSchemas } from '@gw/protocol/schemas'

const page = readFileSync(new URL('../../../PROTOCOL.md', import.meta.url), 'utf8')

function section(title: string, level: number): string {
  const start = page.indexOf(`\n${'#'.repeat(level)} ${title}\n`)
  if (start < 0) throw new Error(`PROTOCOL.md has no section "${title}"`)
  const rest = page.slice(start + 1)
  const end = rest.search(new RegExp(`\\n#{2,${level}} `))
  return end < 0 ? rest : rest.slice(0, end)
}

function headings(text: string): string[] {
  return [...text.matchAll(/^### (\w+)$/gm)].map((match) => match[1] ?? '')
}

function rows(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('|') && !/^\|[ |-]*$/.test(line))
    .slice(1)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}

function documentedFields(type: string): string[] {
  const text = section(type, 3)
  const shared = /^Shared: (.*)\.$/m.exec(text)?.[1]?.replaceAll('`', '').split(', ') ?? []
  return [...shared, ...rows(text).map(([field = '']) => field)].sort()
}

function schemaFields(schema: z.ZodType): string[] {
  if (!(schema instanceof z.ZodObject)) throw new Error('a message schema that is no object')
  const shape: Readonly<Record<string, unknown>> = schema.shape
  return Object.entries(shape)
    .filter(([field]) => field !== 'type')
    .map(([field, value]) => (value instanceof z.ZodExactOptional ? `${field}?` : field))
    .sort()
}

describe.each([
  { title: 'Client messages', schemas: Object.entries<z.ZodType>(clientSchemas) },
  { title: 'Server messages', schemas: Object.entries<z.ZodType>(serverSchemas) },
])('PROTOCOL.md, $title', ({ title, schemas }) => {
  test('has a heading for every message, and none for a message that does not exist', () => {
    expect(headings(section(title, 2)).sort()).toEqual(schemas.map(([type]) => type).sort())
  })

  test.each(schemas)('names every field of %s and which are optional', (type, schema) => {
    expect(documentedFields(type)).toEqual(schemaFields(schema))
  })
})

describe('PROTOCOL.md', () => {
  test('lists every close code with its reason and what follows from it', () => {
    const listed = rows(section('Closing', 2)).map(([code, name, reason, retry]) => [
      code,
      name,
      reason,
      retry,
    ])
    const known = Object.entries(closeCodes).map(([name, row]) => [
      String(row.code),
      name,
      row.reason,
      row.retry,
    ])
    expect(listed).toEqual(known)
  })

  test('lists every limit with its value', () => {
    const listed = rows(section('Limits', 2)).map(([name = '', value]) => [name, Number(value)])
    expect(Object.fromEntries(listed)).toEqual(limits)
  })

  test('lists every error code', () => {
    expect(rows(section('Errors', 2)).map(([code]) => code)).toEqual([...errorCodes])
  })

  test('names every word of the unions', () => {
    for (const word of features) expect(documentedTable('Authenticate')).toContain(`\`${word}\``)
    for (const word of playerActions) expect(documentedTable('Action')).toContain(`\`${word}\``)
    for (const word of actionReasons) expect(documentedTable('ActionResult')).toContain(`\`${word}\``)
    for (const word of chatErrorReasons) expect(documentedTable('ChatError')).toContain(`\`${word}\``)
    for (const word of resetReasons) expect(documentedTable('Reset')).toContain(`\`${word}\``)
    expect(page).toContain(`\`${subprotocol}\``)
  })

  test('has working links within the page', () => {
    const targets = new Set(
      [...page.matchAll(/^##+ (.*)$/gm)].map((m) => (m[1] ?? '').toLowerCase().replaceAll(' ', '-')),
    )
    for (const [, target] of page.matchAll(/\]\(#([^)]+)\)/g)) expect(targets).toContain(target)
  })
})

function documentedTable(type: string): string {
  return section(type, 3)
}

describe('close codes', () => {
  test('are treated by number as their table says, and unknown ones by their range', () => {
    for (const { code, retry } of Object.values(closeCodes)) expect(retryAfterClose(code)).toBe(retry)
    expect([1000, 1003, 1010, 4500, 4750, 4999].map(retryAfterClose)).toEqual(
      Array.from({ length: 6 }, () => 'never'),
    )
    expect([1005, 1006, 1014, 4000, 4499].map(retryAfterClose)).toEqual(
      Array.from({ length: 5 }, () => 'backoff'),
    )
  })

  test('are retryable below 4500 and final from there on, with reasons that fit a close frame', () => {
    const rows = Object.values(closeCodes)
    for (const { code, retryable } of rows.filter((row) => row.code >= 4000))
      expect(retryable).toBe(code < 4500)
    for (const { reason } of rows) {
      expect(Buffer.byteLength(reason)).toBeLessThanOrEqual(123)
    }
  })
})
