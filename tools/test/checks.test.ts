import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { withConfigTable } from '../checks/generated.ts'
import { anchors, checkLinks, localLinks } from '../checks/links.ts'
import { checkWords, findWords } from '../checks/words.ts'

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'gw-checks-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

test.each([
  ['const tableId = 1', 'table'],
  ['const x = "lobby"', 'lobby'],
  ['publish(`hand:${id}`)', 'hand'],
  ['interface SeatState {}', 'seat'],
  ['// every seat hears it', 'seat'],
  ["subscribe('redis://x/table:1')", 'table'],
])('%s is found', (text, word) => {
  expect(findWords(`\n${text}`)).toEqual([{ line: 2, word }])
})

test.each([
  'handler(handshake)',
  'mutable.portable()',
  'table.insert(t, 1)',
  '// by hand, for tables of data',
  '/** the other\n * hand */',
  '-- a table in Lua',
  'spot(potential)',
])('%s is not', (text) => {
  expect(findWords(text)).toEqual([])
})

test('protocol and client may talk of poker, nobody else', () => {
  const text = "export const channel = 'table:1'\n"
  const folder = folderWith({
    'packages/protocol/src/a.ts': text,
    'packages/client/src/a.ts': text,
    'packages/pubsub/src/deep/a.ts': text,
    'packages/pubsub/node_modules/x/src/a.ts': text,
  })
  expect(checkWords(folder)).toEqual(['packages/pubsub/src/deep/a.ts:1 says "table"'])
})

test('links to files and headings that exist pass, others are named', () => {
  const folder = folderWith({
    'a.md':
      '# One `two`\n[x](b/c.md#it-is) [y](#one-two) [z](gone.md) [w](b/c.md#no) ![i](b/) <https://x.y>\n',
    'b/c.md':
      '# It is\n\n[up](../a.md "title")\n\n```\n[not](a-link.md)\n```\n`[nor](this.md)`\n\n[ref]: nowhere.md\n',
  })
  expect(checkLinks(folder)).toEqual([
    'a.md links to gone.md, which does not exist',
    'a.md links to b/c.md#no: no such heading',
    'b/c.md links to nowhere.md, which does not exist',
  ])
})

test('web and mail addresses are no local links', () => {
  expect(localLinks('[a](https://a.b) [m](mailto:a@b) [c](c.md)')).toEqual(['c.md'])
})

test('headings that repeat get numbered anchors', () => {
  expect([...anchors('# A b\n## A b\n### C, d: e!\n')]).toEqual(['a-b', 'a-b-1', 'c-d-e'])
})

test('the table between the markers is replaced, the rest stays; without markers it is an error', () => {
  const text = 'before\n<!-- config:start -->\nold\n<!-- config:end -->\nafter\n'
  expect(withConfigTable(text, '| new |\n')).toBe(
    'before\n<!-- config:start -->\n\n| new |\n\n<!-- config:end -->\nafter\n',
  )
  expect(() => withConfigTable('nothing', '')).toThrow('README.md has no')
})
