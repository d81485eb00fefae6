/** Client spans of gRPC calls, by the RPC semantic conventions; retries are inside of one span. */
import type { DescService } from '@bufbuild/protobuf'
import { activeSpan, withSpan } from '@gw/observability/tracing'
import { status } from '@grpc/grpc-js'
import { GatewayError } from '../errors.ts'
import { BackendError, type CallOptions, type ServiceClient } from '../grpc/service-client.ts'

type Call = (request: never, options?: CallOptions) => Promise<unknown>

function statusName(error: unknown): string {
  if (error instanceof BackendError) return status[error.status] ?? 'UNKNOWN'
  return error instanceof GatewayError ? error.code : 'UNKNOWN'
}

/**
 * `client` with a span around each call that somebody traced waits for; the call's metadata carries it to the backend.
 * What the gateway asks of its own accord begins no trace.
 */
export function traceClient<S extends DescService>(
  service: S,
  client: ServiceClient<S>,
  address: string,
): ServiceClient<S> {
  const [, host = address, port] = /^(.*):(\d+)$/.exec(address) ?? []
  const traced: Record<string, unknown> = { close: () => client.close() }
  const calls: Readonly<Record<string, unknown>> = client
  for (const { methodKind, localName, name } of service.methods) {
    if (methodKind !== 'unary') continue
    const call = calls[localName] as Call
    const rpc = `${service.typeName}/${name}`
    const attributes = {
      'rpc.system.name': 'grpc',
      'rpc.method': rpc,
      'server.address': host,
      ...(port !== undefined && { 'server.port': Number(port) }),
    }
    traced[localName] = (request: never, options?: CallOptions): Promise<unknown> => {
      if (activeSpan() === undefined) return call(request, options)
      return withSpan(rpc, { kind: 'client', attributes }, async (span) => {
        try {
          const answer = await call(request, options)
          span.setAttribute('rpc.response.status_code', 'OK')
          return answer
        } catch (error) {
          span.setAttributes({
            'rpc.response.status_code': statusName(error),
            'error.type': statusName(error),
          })
          throw error
        }
      })
    }
  }
  return traced as ServiceClient<S>
}
