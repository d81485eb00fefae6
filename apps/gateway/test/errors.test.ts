import { readFileSync } from 'node:fs'
import { status } from '@grpc/grpc-js'
import { errorCodes } from '@gw/protocol'
import { expect, test } from 'vitest'
import { codeOfGrpcStatus, errorTable, GatewayError } from '../src/errors.ts'

test('every gRPC status has one HTTP status, as google.rpc.Code maps them', () => {
  const http = Object.fromEntries(
    Object.values(status)
      .filter((code) => typeof code === 'number' && code !== status.OK)
      .map((code) => [status[code], errorTable[codeOfGrpcStatus(code)].http]),
  )
  expect(http).toEqual({
    CANCELLED: 499,
    UNKNOWN: 500,
    INVALID_ARGUMENT: 400,
    DEADLINE_EXCEEDED: 504,
    NOT_FOUND: 404,
    ALREADY_EXISTS: 409,
    PERMISSION_DENIED: 403,
    RESOURCE_EXHAUSTED: 429,
    FAILED_PRECONDITION: 400,
    ABORTED: 409,
    OUT_OF_RANGE: 400,
    UNIMPLEMENTED: 501,
    INTERNAL: 500,
    UNAVAILABLE: 503,
    DATA_LOSS: 500,
    UNAUTHENTICATED: 401,
  })
})

test('every code of the table is a word of the wire', () => {
  for (const code of Object.keys(errorTable)) expect(errorCodes).toContain(code)
})

test('docs/http.md has the table as it is', () => {
  const docs = readFileSync(new URL('../../../docs/http.md', import.meta.url), 'utf8')
  const rows = [...docs.matchAll(/^\| `(\w+)` +\| (\d{3}) +\| (\w+) +\| (yes|no) +\|$/gm)]
  expect(rows.map(([, code, http, grpc, retry]) => [code, Number(http), grpc, retry === 'yes'])).toEqual(
    Object.entries(errorTable).map(([code, row]) => [code, row.http, status[row.grpc], row.retryable]),
  )
})

test('what a retry can cure is marked, and only that', () => {
  const retryable = Object.entries(errorTable).flatMap(([code, row]) => (row.retryable ? [code] : []))
  expect(retryable).toEqual(['rate_limited', 'bad_gateway', 'unavailable', 'timeout'])
})

test('an error without a text takes the table’s', () => {
  expect(new GatewayError('not_found').message).toBe('Not found')
})
