import { createBackends } from '../grpc/backends.ts'
import { type ApiDocument, openApiDocument } from './openapi.ts'
import { passedOn } from './routes/passed-on.ts'
import { createRoutes } from './routes/routes.ts'

/** The API document without a gateway: `npm run generate` writes it to docs/openapi.json. Nothing is connected. */
export function documentApi(): ApiDocument {
  const nowhere = 'localhost:1'
  const addresses = { game: nowhere, player: nowhere, event: nowhere, notify: nowhere }
  const backends = createBackends({ addresses, timeoutMs: 1 })
  try {
    const dailyBonus = { grant: () => Promise.resolve() }
    return openApiDocument([
      ...passedOn,
      ...createRoutes({ backends, dailyBonus, vapidPublicKey: undefined }),
    ])
  } finally {
    backends.close()
  }
}
