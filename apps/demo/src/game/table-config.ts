import type { TableConfig as WireConfig } from '../gen/game/game_pb.ts'
import { PlatformError } from '../platform-error.ts'

/** A table's rules; chips and seconds are whole numbers. */
export interface TableConfig {
  readonly smallBlind: number
  readonly bigBlind: number
  readonly ante: number
  readonly maxPlayers: number
  readonly startingStack: number
  readonly turnTimerSeconds: number
}

/** The rules of the Main Table, and what absent (zero) fields of a new table become. */
export const defaultTableConfig: TableConfig = {
  smallBlind: 1,
  bigBlind: 2,
  ante: 0,
  maxPlayers: 9,
  startingStack: 200,
  turnTimerSeconds: 20,
}

const maxChips = 1_000_000_000_000

/** Reads a CreateTable config. Zero means default (big blind: twice the small one). INVALID_ARGUMENT `INVALID_TABLE_CONFIG`. */
export function parseTableConfig(wire: WireConfig | undefined): TableConfig {
  const smallBlind = Number(wire?.smallBlind ?? 0) || defaultTableConfig.smallBlind
  const config = {
    smallBlind,
    bigBlind: Number(wire?.bigBlind ?? 0) || smallBlind * 2,
    ante: Number(wire?.ante ?? 0),
    maxPlayers: wire?.maxPlayers || defaultTableConfig.maxPlayers,
    startingStack: Number(wire?.startingStack ?? 0) || defaultTableConfig.startingStack,
    turnTimerSeconds: wire?.turnTimerSeconds || defaultTableConfig.turnTimerSeconds,
  }
  const isValid =
    config.smallBlind > 0 &&
    config.bigBlind >= config.smallBlind * 2 &&
    config.ante >= 0 &&
    config.ante < config.smallBlind &&
    config.maxPlayers >= 2 &&
    config.maxPlayers <= 9 &&
    config.startingStack > 0 &&
    config.turnTimerSeconds > 0 &&
    config.turnTimerSeconds <= 3600 &&
    Math.max(config.bigBlind, config.startingStack) <= maxChips
  if (!isValid) throw new PlatformError('INVALID_ARGUMENT', 'INVALID_TABLE_CONFIG')
  return config
}
