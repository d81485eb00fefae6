/**
 * One message of every type with every optional field set. `Complete` makes the compiler ask for a field as soon as a type
 * has it, and the tests ask the schemas for it, so types and schemas cannot drift apart.
 */
import type {
  ClientMessage,
  ClientMessageType,
  Hand,
  Seat,
  ServerMessage,
  ServerMessageType,
  TableConfig,
  TableState,
  TableSummary,
} from '@gw/protocol'

type Complete<M extends { type: string }, T extends M['type']> = Required<Extract<M, { type: T }>>

const at = '2026-11-22T09:48:46.470Z'
const since = { epoch: 'e1', seq: 9 }
const position = { channel: 'table:T1', epoch: 'e1', seq: 10 }

const config: Required<TableConfig> = {
  smallBlind: 5,
  bigBlind: 10,
  ante: 0,
  maxPlayers: 6,
  startingStack: 300,
  bettingStructure: 'NoLimit',
  turnTimerSeconds: 30,
}

export const hand: Required<Hand> = {
  handId: 'H1',
  tableId: 'T1',
  street: 'FLOP',
  communityCards: [
    { rank: '2', suit: 'clubs' },
    { rank: '10', suit: 'diamonds' },
    { rank: 'A', suit: 'spades' },
  ],
  pots: [{ amount: 10, eligibleSeatIds: [1, 0], eligibleSeats: [1, 0], winners: [1] }],
  currentBet: 10,
  minRaise: 10,
  turn: 1,
  lastAggressor: 0,
  actions: [
    { actionId: 'A1', handId: 'H1', seatId: 1, userId: 'bob', type: 'POST_BLIND', amount: 5, timestamp: at },
  ],
  rakeAmount: 0,
  startedAt: at,
  endedAt: at,
  winners: [1],
  actionTimerDeadline: at,
  roundContributions: { '0': 10, '1': 5 },
  actedSeats: [0],
  raiseCapped: false,
  bigBlind: 10,
}

const seat: Required<Seat> = {
  seatId: 0,
  userId: 'alice',
  stack: 290,
  status: 'ACTIVE',
  holeCards: null,
  lastAction: at,
}

export const tableState: Required<TableState> = {
  tableId: 'T1',
  name: 'Peer',
  ownerId: 'alice',
  config,
  status: 'PLAYING',
  hand,
  version: 13,
  seats: [seat],
  spectators: [{ userId: 'bob', status: 'ACTIVE', joinedAt: at }],
  updatedAt: at,
  button: 1,
}

export const tableSummary: Required<TableSummary> = {
  tableId: 'T1',
  name: 'Peer',
  ownerId: 'alice',
  config,
  seatsTaken: 2,
  occupiedSeatIds: [0, 1],
  inProgress: true,
  spectatorCount: 3,
}

const { tableId: _table, updatedAt: _updated, ...patch } = tableState
const entry = { id: 'M1', userId: 'alice', username: 'Alice', text: 'hi', ts: at }

/** Every client message, complete. */
export const clientMessages: { readonly [T in ClientMessageType]: Complete<ClientMessage, T> } = {
  Authenticate: {
    type: 'Authenticate',
    id: '1',
    token: 'a.b.c',
    features: ['acks'],
    resume: { 'table:T1': since },
  },
  SubscribeTable: { type: 'SubscribeTable', id: '1', tableId: 'T1', since },
  ResyncTable: { type: 'ResyncTable', id: '1', tableId: 'T1', since },
  UnsubscribeTable: { type: 'UnsubscribeTable', id: '1', tableId: 'T1' },
  JoinSeat: { type: 'JoinSeat', id: '1', tableId: 'T1', seatId: 8, buyInAmount: 300 },
  LeaveTable: { type: 'LeaveTable', id: '1', tableId: 'T1' },
  Action: { type: 'Action', id: '1', tableId: 'T1', action: 'Raise', amount: 40, handId: 'H1' },
  SubscribeChat: { type: 'SubscribeChat', id: '1', tableId: 'T1', since },
  UnsubscribeChat: { type: 'UnsubscribeChat', id: '1', tableId: 'T1' },
  ChatSend: { type: 'ChatSend', id: '1', tableId: 'T1', message: 'hi' },
  GetChatHistory: { type: 'GetChatHistory', id: '1', tableId: 'T1', before: 'M2', after: 'M1', limit: 50 },
  DeleteChatMessage: { type: 'DeleteChatMessage', id: '1', tableId: 'T1', messageId: 'M1' },
  SetTyping: { type: 'SetTyping', id: '1', tableId: 'T1' },
  SubscribeLobby: { type: 'SubscribeLobby', id: '1' },
  UnsubscribeLobby: { type: 'UnsubscribeLobby', id: '1' },
  SubscribePresence: { type: 'SubscribePresence', id: '1', userIds: ['bob'] },
  UnsubscribePresence: { type: 'UnsubscribePresence', id: '1', userIds: ['bob'] },
  SetAway: { type: 'SetAway', id: '1', away: true },
  Ping: { type: 'Ping', id: '1' },
}

/** Every server message, complete. */
export const serverMessages: { readonly [T in ServerMessageType]: Complete<ServerMessage, T> } = {
  Welcome: {
    type: 'Welcome',
    id: '1',
    userId: 'alice',
    connectionId: 'C1',
    instanceId: 'I1',
    features: ['acks', 'heartbeat'],
    heartbeatMs: 15_000,
    tokenExpiresAt: at,
  },
  Resumed: {
    type: 'Resumed',
    channels: {
      'table:T1': { recovered: true, ...since },
      'chat:T1': { recovered: false, error: 'forbidden' },
    },
  },
  Subscribed: { type: 'Subscribed', channel: 'all', ...since, recovered: true },
  LobbyTablesUpdated: { type: 'LobbyTablesUpdated', id: '1', ...position, tables: [tableSummary] },
  TableSnapshot: { type: 'TableSnapshot', id: '1', ...position, tableState, recovered: true },
  TablePatch: { type: 'TablePatch', ...position, tableId: 'T1', handId: 'H1', patch },
  HoleCards: {
    type: 'HoleCards',
    tableId: 'T1',
    handId: 'H1',
    cards: [
      { rank: '6', suit: 'hearts' },
      { rank: 'K', suit: 'diamonds' },
    ],
  },
  TimerUpdate: {
    type: 'TimerUpdate',
    ...position,
    tableId: 'T1',
    handId: 'H1',
    currentTurnSeat: 1,
    deadlineTs: at,
  },
  SpectatorJoined: {
    type: 'SpectatorJoined',
    ...position,
    tableId: 'T1',
    userId: 'bob',
    username: 'Bob',
    spectatorCount: 2,
  },
  SpectatorLeft: {
    type: 'SpectatorLeft',
    ...position,
    tableId: 'T1',
    userId: 'bob',
    username: 'Bob',
    spectatorCount: 1,
  },
  ActionResult: { type: 'ActionResult', id: '1', tableId: 'T1', accepted: false, reason: 'NOT_YOUR_TURN' },
  ChatSubscribed: {
    type: 'ChatSubscribed',
    id: '1',
    ...position,
    tableId: 'T1',
    history: [entry],
    recovered: false,
  },
  ChatMessage: { type: 'ChatMessage', ...position, tableId: 'T1', message: entry },
  ChatDeleted: { type: 'ChatDeleted', ...position, tableId: 'T1', messageId: 'M1' },
  ChatHistory: { type: 'ChatHistory', id: '1', tableId: 'T1', history: [entry], more: true },
  ChatError: { type: 'ChatError', id: '1', tableId: 'T1', reason: 'muted', retryAfterMs: 0 },
  Typing: { type: 'Typing', tableId: 'T1', userId: 'bob' },
  PresenceSnapshot: { type: 'PresenceSnapshot', id: '1', users: { bob: 'away' } },
  PresenceChanged: { type: 'PresenceChanged', ...position, userId: 'bob', status: 'offline', at },
  Ack: { type: 'Ack', id: '1', ...position, duplicate: true, messageId: 'M1', tokenExpiresAt: at },
  Error: {
    type: 'Error',
    id: '1',
    message: 'Too many requests',
    code: 'rate_limited',
    retryable: true,
    retryAfterMs: 250,
    tableId: 'T1',
  },
  Reset: { type: 'Reset', channel: 'chat:T1', epoch: 'e2', reason: 'trimmed' },
  Heartbeat: { type: 'Heartbeat', at },
  Pong: { type: 'Pong', id: '1', at },
  Reconnect: { type: 'Reconnect', afterMs: 700, reason: 'drain' },
  TokenExpiring: { type: 'TokenExpiring', expiresAt: at },
}
