/** What the API document says of paths without a route: the probes, and Balance's API behind the proxy. */
import { z } from 'zod'
import type { DocumentedRoute } from '../route.ts'
import { nothing } from './inputs.ts'

const account = z.object({ accountId: z.string() })
const mine = { accountId: 'ann' }
const amount = z.number().positive()
const key = { 'Idempotency-Key': 'example-1' }
const transaction = z
  .looseObject({
    transactionId: z.string(),
    type: z.string(),
    amount: z.number(),
    balanceBefore: z.number(),
    balanceAfter: z.number(),
    status: z.string(),
    createdAt: z.string(),
  })
  .meta({ title: 'Transaction' })
const bare = { params: nothing, query: nothing, body: nothing }
const paging = { limit: z.string().optional(), offset: z.string().optional() }

/** Operations of the document in front of, and behind, the routes. */
export const passedOn: readonly DocumentedRoute[] = [
  {
    ...bare,
    method: 'get',
    path: '/health',
    summary: 'The process lives.',
    isOpen: true,
    answer: { status: 200, body: z.object({ status: z.literal('ok'), service: z.literal('gateway') }) },
    examples: [{ summary: 'Alive', status: 200 }],
  },
  {
    ...bare,
    method: 'get',
    path: '/ready',
    summary: 'This instance should get traffic; else 503 with the reason.',
    isOpen: true,
    answer: { status: 200, body: z.object({ status: z.literal('ready') }) },
    examples: [{ summary: 'Ready', status: 200 }],
  },
  {
    ...bare,
    method: 'post',
    path: '/api/accounts/:accountId',
    summary: 'Balance: open one’s account. 201 when it is new.',
    params: account,
    body: z.object({ initialBalance: z.number().min(0).optional() }),
    answer: {
      status: 201,
      body: z.object({
        accountId: z.string(),
        balance: z.number(),
        currency: z.string(),
        created: z.boolean(),
      }),
    },
    examples: [{ summary: 'With 500', status: 201, params: mine, body: { initialBalance: 500 } }],
  },
  {
    ...bare,
    method: 'get',
    path: '/api/accounts/:accountId/balance',
    summary: 'Balance: what is in the account.',
    params: account,
    answer: {
      status: 200,
      body: z.object({
        accountId: z.string(),
        balance: z.number(),
        availableBalance: z.number(),
        currency: z.string(),
        version: z.int(),
      }),
    },
    examples: [
      { summary: 'One’s own', status: 200, params: mine },
      { summary: 'Somebody else’s', status: 403, params: { accountId: 'somebody' } },
    ],
  },
  {
    ...bare,
    method: 'post',
    path: '/api/accounts/:accountId/deposit',
    summary: 'Balance: put chips in. Needs an Idempotency-Key.',
    params: account,
    body: z.object({ amount, source: z.enum(['FREEROLL', 'PURCHASE', 'ADMIN', 'BONUS']) }),
    answer: { status: 200, body: transaction },
    examples: [
      { summary: 'A bonus', status: 200, params: mine, headers: key, body: { amount: 10, source: 'BONUS' } },
      { summary: 'No key', status: 400, params: mine, body: { amount: 10, source: 'BONUS' } },
    ],
  },
  {
    ...bare,
    method: 'post',
    path: '/api/accounts/:accountId/withdraw',
    summary: 'Balance: take chips out. Needs an Idempotency-Key.',
    params: account,
    body: z.object({ amount, reason: z.string().optional() }),
    answer: { status: 200, body: transaction },
    examples: [{ summary: 'Five', status: 200, params: mine, headers: key, body: { amount: 5 } }],
  },
  {
    ...bare,
    method: 'get',
    path: '/api/accounts/:accountId/transactions',
    summary: 'Balance: what went in and out.',
    params: account,
    query: z.object({ ...paging, type: z.string().optional() }),
    answer: {
      status: 200,
      body: z.object({
        transactions: z.array(transaction),
        total: z.int(),
        limit: z.int(),
        offset: z.int(),
      }),
    },
    examples: [{ summary: 'The newest two', status: 200, params: mine, query: { limit: 2 } }],
  },
  {
    ...bare,
    method: 'get',
    path: '/api/accounts/:accountId/ledger',
    summary: 'Balance: the ledger, each entry with its checksum.',
    params: account,
    query: z.object({
      limit: z.string().optional(),
      from: z.string().optional(),
      to: z.string().optional(),
    }),
    answer: {
      status: 200,
      body: z.looseObject({ entries: z.array(z.looseObject({ entryId: z.string() })), total: z.int() }),
    },
    examples: [{ summary: 'The newest two', status: 200, params: mine, query: { limit: 2 } }],
  },
]
