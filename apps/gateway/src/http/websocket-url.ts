import type { Request } from 'express'

/** The WebSocket URL that belongs to the host a request was made to; `wss` behind TLS (`X-Forwarded-Proto`). */
export function websocketUrl(request: Request): string {
  const forwarded = request.get('x-forwarded-proto')?.split(',', 1)[0]?.trim().toLowerCase()
  const secure = forwarded === undefined ? request.protocol === 'https' : forwarded === 'https'
  return `${secure ? 'wss' : 'ws'}://${request.get('host') ?? 'localhost'}/ws`
}
