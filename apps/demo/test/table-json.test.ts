import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { defaultTableConfig } from '../src/game/table-config.ts'
import { lobbyUpdate, tableSnapshot } from '../src/game/table-json.ts'
import { emptySeat, type TableState } from '../src/game/table-state.ts'

const table = (tableId: string, change: Partial<TableState> = {}): TableState => ({
  tableId,
  name: 'Table',
  ownerId: 'system',
  config: defaultTableConfig,
  createdAt: 0,
  seats: Array.from({ length: 9 }, (_, seatId) => emptySeat(seatId)),
  spectators: new Map(),
  hand: null,
  button: 0,
  version: 1,
  updatedAt: 0,
  ...change,
})

const bytes = (payload: unknown): number => Buffer.byteLength(JSON.stringify(payload))

describe('broadcasts', () => {
  it('stay below 64 KiB with 5000 spectators, and keep the first of them', () => {
    const spectators = new Map(
      Array.from({ length: 5000 }, (_, index) => [`${index}-${'ü'.repeat(60)}`, index]),
    )
    const snapshot = tableSnapshot(table('t', { spectators }))
    expect(bytes(snapshot)).toBeLessThan(32 * 1024)
    expect(snapshot).toMatchObject({ tableState: { spectators: expect.any(Array) } })
    expect(JSON.stringify(snapshot)).toContain('"userId":"0-')
    expect(JSON.stringify(snapshot)).not.toContain('"userId":"4999-')
  })

  it('stay below 64 KiB with 1000 tables, those with players first', () => {
    const seats = [{ ...emptySeat(0), userId: 'alice', status: 'SEATED' as const, stack: 200 }]
    const tables = Array.from({ length: 1000 }, (_, index) =>
      table(`table-${index}`, index === 999 ? { seats } : {}),
    )
    const lobby = lobbyUpdate(tables)
    expect(bytes(lobby)).toBeLessThan(64 * 1024)
    expect(lobbyIds(lobby).slice(0, 2)).toEqual(['table-999', 'table-0'])
    expect(lobbyIds(lobby).length).toBeGreaterThan(100)
  })

  it('list every table and spectator while they fit', () => {
    const lobby = lobbyUpdate(Array.from({ length: 50 }, (_, index) => table(`table-${index}`)))
    expect(lobbyIds(lobby)).toHaveLength(50)
  })
})

function lobbyIds(lobby: unknown): string[] {
  const { tables } = z.object({ tables: z.array(z.object({ tableId: z.string() })) }).parse(lobby)
  return tables.map(({ tableId }) => tableId)
}
