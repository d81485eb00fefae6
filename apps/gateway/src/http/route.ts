/** One HTTP route as data: method, path, schemas, examples, and a typed handler. The router and the API document read it. */
import { randomUUID } from 'node:crypto'
import type { Identity } from '@gw/auth'
import type { Request, Response, Router } from 'express'
import type { z } from 'zod'
import { GatewayError } from '../errors.ts'
import type { CallOptions } from '../grpc/service-client.ts'
import type { Json } from '../grpc/relay-json.ts'
import { requestBudgetMs } from './request-budget.ts'
import { sendError } from './send-error.ts'

/** Who calls, and what goes along with every backend call made for the request. */
export interface RouteCall {
  readonly caller: Identity
  /** The client's `Idempotency-Key` scoped by user, or a fresh one: another user's key can never match. */
  readonly idempotencyKey: string
  /** Deadline, cancellation when the client goes away, and request id for backend calls. */
  readonly options: CallOptions
  readonly request: Request
}

export interface Answer {
  readonly status: number
  readonly body?: Json
}

/** A request as the document shows it; a test sends it and holds the answer against the schema. */
export interface RouteExample {
  readonly summary: string
  /** Status of its answer. */
  readonly status: number
  readonly params?: Readonly<Record<string, string | number>>
  readonly query?: Readonly<Record<string, string | number>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Json
}

/** What the document says of a route, or of a path that is proxied. */
export interface DocumentedRoute {
  readonly method: 'get' | 'post' | 'put' | 'delete'
  /** Express path, e.g. `/api/tables/:tableId`. */
  readonly path: string
  readonly summary: string
  readonly params: z.ZodType
  readonly query: z.ZodType
  readonly body: z.ZodType
  /** The answer to a request that succeeds; no `body`: none. */
  readonly answer: { readonly status: number; readonly body?: z.ZodType }
  readonly examples: readonly RouteExample[]
  /** Whether it needs no token. Default: it does. */
  readonly isOpen?: boolean
}

export interface Route<Params, Query, Body> extends DocumentedRoute {
  readonly params: z.ZodType<Params>
  readonly query: z.ZodType<Query>
  readonly body: z.ZodType<Body>
  /** Text of the 400 answer when the input doesn't fit; may name the first member that didn't. */
  readonly invalid: string | ((member: string) => string)
  /** Text of the answer when a backend call fails. */
  readonly failure: string
  /** Text of the 404 answer; default: `failure`. */
  readonly notFound?: string
  readonly handle: (input: { params: Params; query: Query; body: Body }, call: RouteCall) => Promise<Answer>
}

export interface MountOptions {
  /** The time that all backend calls of one request share. */
  readonly budgetMs: number
}

/** A route with its types folded away, for lists. */
export interface MountableRoute extends DocumentedRoute {
  readonly mount: (router: Router, options: MountOptions) => void
}

const maxKeyLength = 200

/** 400 with the backend's own code word, in the three members that clients read. */
export function refused(code: string): Answer {
  return { status: 400, body: { error: code, code, message: code } }
}

function idempotencyKeyOf(request: Request, caller: Identity): string {
  const given = request.get('idempotency-key')?.trim() ?? ''
  if (given.length > maxKeyLength)
    throw new GatewayError('invalid_request', `Idempotency-Key must be at most ${maxKeyLength} characters`)
  return given === '' ? randomUUID() : `${caller.subject}:${given}`
}

/** Parameters with a value: `?tableId=` is as if it weren't there. */
function givenOf(query: Request['query']): Request['query'] {
  const isGiven = (value: unknown): boolean => typeof value !== 'string' || value.trim() !== ''
  return Object.fromEntries(Object.entries(query).filter(([, value]) => isGiven(value)))
}

function invalidInput(
  { invalid }: Pick<Route<unknown, unknown, unknown>, 'invalid'>,
  results: readonly z.ZodSafeParseResult<unknown>[],
): GatewayError {
  const [issue] = results.flatMap(({ error }) => error?.issues ?? [])
  const member = String(issue?.path[0] ?? 'request')
  return new GatewayError('invalid_request', typeof invalid === 'string' ? invalid : invalid(member))
}

/** Turns a typed route into one that can be mounted: parse, call, answer, one error table. */
export function route<Params, Query, Body>(definition: Route<Params, Query, Body>): MountableRoute {
  async function answer(request: Request, response: Response, { budgetMs }: MountOptions): Promise<void> {
    const deadlineAtMs = performance.now() + requestBudgetMs(request, budgetMs)
    const caller = request.auth
    if (!caller) throw new GatewayError('auth_denied')
    const aborted = new AbortController()
    response.once('close', () => aborted.abort())
    const params = definition.params.safeParse(request.params)
    const query = definition.query.safeParse(givenOf(request.query))
    const body = definition.body.safeParse(request.body ?? {})
    if (!params.success || !query.success || !body.success)
      throw invalidInput(definition, [params, query, body])
    const requestId = response.getHeader('x-request-id')
    const result = await definition.handle(
      { params: params.data, query: query.data, body: body.data },
      {
        caller,
        idempotencyKey: idempotencyKeyOf(request, caller),
        options: {
          deadlineAtMs,
          signal: aborted.signal,
          ...(typeof requestId === 'string' && { requestId }),
        },
        request,
      },
    )
    if (result.body === undefined) response.status(result.status).end()
    else response.status(result.status).json(result.body)
  }

  return {
    ...definition,
    mount(router, options) {
      router[definition.method](definition.path, (request: Request, response: Response) => {
        answer(request, response, options).catch((error: unknown) => sendError(response, error, definition))
      })
    },
  }
}
