import { randomUUID } from 'node:crypto'
import { PlatformError } from '../platform-error.ts'
import type { UpdatePublisher } from '../publish/update.ts'
import { defaultTableConfig, type TableConfig } from './table-config.ts'
import { lobbyUpdate, tableSnapshot, tableSummary } from './table-json.ts'
import { emptySeat, type TableState } from './table-state.ts'
import { Table, type TableOptions } from './table.ts'

const maxTables = 1000

export interface TablesOptions extends Omit<TableOptions, 'onChange'> {
  readonly publisher: UpdatePublisher
}

/** All tables, and the publication of their changes: a table's snapshot, then the lobby when its line there changed. */
export class Tables {
  readonly #tables = new Map<string, Table>()
  readonly #lobbyLines = new Map<string, string>()
  readonly #options: TablesOptions
  // Versions begin at 0 again with every process: its id keeps the publishing keys apart.
  readonly #bootId = randomUUID()
  #lobbyVersion = 0

  constructor(options: TablesOptions) {
    this.#options = options
  }

  find(tableId: string): Table | undefined {
    return this.#tables.get(tableId)
  }

  /** The table, or NOT_FOUND `TABLE_NOT_FOUND`. */
  get(tableId: string): Table {
    const table = this.#tables.get(tableId)
    if (!table) throw new PlatformError('NOT_FOUND', 'TABLE_NOT_FOUND')
    return table
  }

  /** Every table; a `Main Table` of owner `system` is created when there is none. */
  list(): TableState[] {
    if (this.#tables.size === 0)
      this.create({ name: 'Main Table', ownerId: 'system', config: defaultTableConfig })
    return this.states()
  }

  /** Every table as it is. */
  states(): TableState[] {
    return [...this.#tables.values()].map((table) => table.state)
  }

  create(wish: {
    readonly name: string
    readonly ownerId: string
    readonly config: TableConfig
  }): TableState {
    if (this.#tables.size >= maxTables) throw new PlatformError('RESOURCE_EXHAUSTED', 'TOO_MANY_TABLES')
    const now = this.#options.clock.now()
    const state: TableState = {
      ...wish,
      tableId: randomUUID(),
      createdAt: now,
      seats: Array.from({ length: wish.config.maxPlayers }, (_, seatId) => emptySeat(seatId)),
      spectators: new Map(),
      hand: null,
      button: 0,
      version: 0,
      updatedAt: now,
    }
    const onChange = (changed: TableState): void => this.#publish(changed)
    this.#tables.set(state.tableId, new Table(state, { ...this.#options, onChange }))
    this.#options.record({ type: 'TABLE_CREATED', tableId: state.tableId, payload: { name: state.name } })
    this.#publish(state)
    return state
  }

  /** Closes a table and pays everybody out. NOT_FOUND `TABLE_NOT_FOUND`. */
  delete(tableId: string): void {
    this.get(tableId).close()
    this.#tables.delete(tableId)
    this.#lobbyLines.delete(tableId)
    this.#publishLobby()
  }

  /** Stops every timer. */
  stop(): void {
    for (const table of this.#tables.values()) table.stop()
  }

  #publish(state: TableState): void {
    const { tableId, version } = state
    const key = `game:${tableId}:${this.#bootId}:${version}`
    this.#options.publisher.publish({ channel: 'table', tableId, payload: tableSnapshot(state), key })
    const line = JSON.stringify(tableSummary(state))
    if (this.#lobbyLines.get(tableId) === line) return
    this.#lobbyLines.set(tableId, line)
    this.#publishLobby()
  }

  #publishLobby(): void {
    const payload = lobbyUpdate(this.states())
    const key = `game:lobby:${this.#bootId}:${++this.#lobbyVersion}`
    this.#options.publisher.publish({ channel: 'lobby', tableId: 'lobby', payload, key })
  }
}
