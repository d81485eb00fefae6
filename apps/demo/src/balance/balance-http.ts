import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import * as z from 'zod'
import { type CallLog, redactMetadata } from '../control/call-log.ts'
import type { Faults } from '../control/faults.ts'
import type { IdempotencyCache } from '../idempotency.ts'
import { PlatformError } from '../platform-error.ts'
import type { Accounts, Movement, MovementResult, TransactionType } from './accounts.ts'
import type { Reservations } from './reservations.ts'
import type { TokenCheck } from './token-check.ts'

const dayMs = 86_400_000
const sources: Readonly<Record<string, TransactionType>> = {
  BONUS: 'BONUS',
  FREEROLL: 'FREEROLL',
  PURCHASE: 'DEPOSIT',
  ADMIN: 'DEPOSIT',
}
const pageSchema = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  offset: z.coerce.number().int().min(0).default(0),
  type: z.string().optional(),
  from: z.coerce.date().optional(),
  to: z.coerce.date().optional(),
})

export interface BalanceHttpOptions {
  readonly accounts: Accounts
  readonly reservations: Reservations
  readonly idempotency: IdempotencyCache
  readonly verify: TokenCheck
  readonly calls: CallLog
  readonly faults: Faults
  readonly onError: (error: unknown, method: string) => void
}

/**
 * Balance's HTTP API below `/api/accounts`. It verifies the bearer token itself and serves an account to its owner only
 * (`sub` equals the account id); what a proxy says about the user is not believed.
 */
export function createBalanceHttp(options: BalanceHttpOptions): Express {
  const { accounts, reservations } = options
  const app = express()
  app.disable('x-powered-by')
  app.use(express.json({ limit: '100kb' }))
  app.use('/api/accounts/:accountId', observe(options), owner(options.verify))

  app.get('/api/accounts/:accountId/balance', (req, res) => {
    const account = accounts.get(req.params.accountId)
    if (!account) return notFound(res, req.params.accountId)
    const { accountId, balance, version } = account
    const availableBalance = reservations.available(accountId)
    res.json({ accountId, balance, availableBalance, currency: 'CHIPS', version })
  })
  app.post('/api/accounts/:accountId', (req, res) => {
    const initial = z
      .int()
      .min(0)
      .default(0)
      .safeParse(field(req, 'initialBalance') ?? undefined)
    if (!initial.success) return refuse(res, 'INVALID_AMOUNT', 'initialBalance must be a whole number from 0')
    const ensured = accounts.ensure(req.params.accountId, initial.data)
    if (!ensured) return refuse(res, 'TOO_MANY_ACCOUNTS', 'No more accounts can be opened')
    const { accountId, balance } = ensured.account
    res
      .status(ensured.created ? 201 : 200)
      .json({ accountId, balance, currency: 'CHIPS', created: ensured.created })
  })
  app.post('/api/accounts/:accountId/deposit', movement(options, depositOf, 'Deposit'))
  app.post('/api/accounts/:accountId/withdraw', movement(options, withdrawalOf, 'Withdrawal'))
  app.get('/api/accounts/:accountId/transactions', (req, res) => {
    const page = pageSchema.safeParse(req.query)
    if (!page.success) return refuse(res, 'INVALID_QUERY', 'limit, offset or type is not valid')
    const { limit, offset, type } = page.data
    const all = (accounts.get(req.params.accountId)?.transactions ?? []).filter(
      (transaction) => (type ?? transaction.type) === transaction.type,
    )
    res.json({ transactions: all.slice(offset, offset + limit), total: all.length, limit, offset })
  })
  app.get('/api/accounts/:accountId/ledger', (req, res) => {
    const page = pageSchema.safeParse(req.query)
    if (!page.success) return refuse(res, 'INVALID_QUERY', 'limit, from or to is not valid')
    const { limit, from, to } = page.data
    const ledger = accounts.get(req.params.accountId)?.ledger ?? []
    const entries = ledger.filter((entry) => {
      const at = Date.parse(entry.timestamp)
      return at >= (from?.getTime() ?? 0) && at <= (to?.getTime() ?? Number.POSITIVE_INFINITY)
    })
    const latestChecksum = ledger[0]?.checksum ?? 'GENESIS'
    res.json({ entries: entries.slice(0, limit), total: entries.length, latestChecksum })
  })
  app.use(onFailure(options))
  return app
}

function observe({ calls, faults }: BalanceHttpOptions) {
  return async (req: Request, res: Response, next: NextFunction): Promise<void> => {
    const path = new URL(req.originalUrl, 'http://balance').pathname
    const metadata = redactMetadata(req.headers)
    calls.add({
      service: 'balance-http',
      method: `${req.method} ${path}`,
      request: req.body ?? null,
      metadata,
      deadlineMs: null,
      at: Date.now(),
    })
    const gone = new AbortController()
    res.once('close', () => gone.abort())
    await faults.apply('balance-http', path.split('/').at(-1) ?? '', gone.signal)
    next()
  }
}

function owner(verify: TokenCheck) {
  return (req: Request, res: Response, next: NextFunction): void => {
    const subject = verify(req.headers.authorization)
    if (subject === null) {
      res.status(401).json({ error: 'UNAUTHORIZED', message: 'Invalid or missing token' })
    } else if (subject !== req.params['accountId']) {
      res.status(403).json({ error: 'FORBIDDEN', message: 'Cannot access another account' })
    } else next()
  }
}

type AccountRequest = Request<{ accountId: string }>
type ReadMovement = (req: AccountRequest, amount: number) => Movement | null

/** Deposit and withdrawal: once per key, and the same answer for every repeat. */
function movement(options: BalanceHttpOptions, read: ReadMovement, what: string) {
  const { accounts, idempotency } = options
  return async (req: AccountRequest, res: Response): Promise<void> => {
    const key = req.header('idempotency-key')?.trim() ?? ''
    if (key === '') return refuse(res, 'MISSING_IDEMPOTENCY_KEY', 'Idempotency-Key header is required')
    const amount = z.int().positive().safeParse(field(req, 'amount'))
    if (!amount.success) return refuse(res, 'INVALID_AMOUNT', 'amount must be a positive whole number')
    const wanted = read(req, amount.data)
    if (!wanted) return refuse(res, 'MISSING_SOURCE', 'source is required')
    const result = await idempotency.once({
      rpc: `http:${what}:${wanted.accountId}`,
      key,
      ttlMs: dayMs,
      isKept: (done) => done.ok,
      run: (): MovementResult => {
        if (what === 'Deposit') accounts.ensure(wanted.accountId, 0)
        return accounts.move(wanted)
      },
    })
    if (!result.ok) return refuse(res, result.error, `${what} failed: ${result.error}`)
    const { metadata: _, ...transaction } = result.transaction
    res.json(transaction)
  }
}

function depositOf(req: AccountRequest, amount: number): Movement | null {
  const source = field(req, 'source')
  const type = typeof source === 'string' ? sources[source] : undefined
  if (typeof source !== 'string' || !type) return null
  return { accountId: req.params.accountId, type, amount, metadata: { source } }
}

function withdrawalOf(req: AccountRequest, amount: number): Movement {
  const reason = field(req, 'reason')
  const metadata: Record<string, string> = typeof reason === 'string' ? { reason: reason.slice(0, 200) } : {}
  return { accountId: req.params.accountId, type: 'WITHDRAW', amount, metadata }
}

function field(req: { readonly body: unknown }, name: string): unknown {
  const { body } = req
  return typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined
}

function refuse(res: Response, error: string, message: string): void {
  res.status(400).json({ error, message })
}

function notFound(res: Response, accountId: string): void {
  res.status(404).json({ error: 'ACCOUNT_NOT_FOUND', message: `Account ${accountId} not found` })
}

function onFailure(options: BalanceHttpOptions) {
  // Express tells an error handler by its four parameters.
  // oxlint-disable-next-line max-params
  return (error: unknown, req: Request, res: Response, next: NextFunction): void => {
    if (res.headersSent || res.destroyed) return next(error)
    const status = z.object({ status: z.int().min(400).max(499) }).safeParse(error)
    if (status.success) {
      res
        .status(status.data.status)
        .json({ error: 'INVALID_REQUEST', message: 'The request body is not valid' })
    } else if (error instanceof PlatformError) {
      res.status(503).json({ error: error.code, message: error.message })
    } else {
      options.onError(error, `${req.method} ${req.path}`)
      res.status(500).json({ error: 'INTERNAL', message: 'Internal error' })
    }
  }
}
