/**
 * The OpenAPI 3.1 document, made from the routes' own schemas. Examples are requests (`x-examples` of each operation has
 * them whole, with the status of the answer); a test sends each to a running gateway and holds the answer against the
 * schema that the document gives.
 */
import { STATUS_CODES } from 'node:http'
import { z } from 'zod'
import type { Json } from '../grpc/relay-json.ts'
import type { DocumentedRoute, RouteExample } from './route.ts'
import { errorShape, limitShape } from './routes/answers.ts'

export interface ApiDocument {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string; readonly description: string }
  readonly tags: readonly { readonly name: string; readonly description: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Json>>; readonly [part: string]: unknown }
  readonly security: readonly Json[]
}

export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly parameters: readonly Parameter[]
  readonly requestBody?: Json
  readonly responses: Readonly<Record<string, Json>>
  readonly security?: readonly Json[]
  readonly 'x-examples': readonly RouteExample[]
}

export interface Parameter {
  readonly name: string
  readonly in: 'path' | 'query' | 'header'
  readonly required: boolean
  readonly schema: Json
  readonly description?: string
  readonly example?: string | number
}

type JsonObject = { readonly [name: string]: Json }

const tags: Readonly<Record<string, string>> = {
  tables: 'Tables, seats, play and moderation: Game.',
  profile: 'Profiles, statistics, friends: Player.',
  audit: 'What happened at the tables: Event.',
  push: 'Web push: Notify.',
  accounts: 'Chips: Balance, passed on as it is.',
  probes: 'For orchestrators; open to all.',
}

function tagOf(path: string): string {
  const [, api, word = ''] = path.split('/')
  if (api !== 'api') return 'probes'
  return word in tags ? word : 'profile'
}

const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Moves every schema with a title to `components.schemas`, once, and leaves a reference. */
function createHoist(): { readonly schemas: Record<string, Json>; readonly hoist: (schema: Json) => Json } {
  const schemas: Record<string, Json> = {}
  function hoist(value: Json): Json {
    if (Array.isArray(value)) return value.map(hoist)
    if (!isObject(value)) return value
    const inner: JsonObject = Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => name !== '$schema')
        .map(([name, member]) => [name, hoist(member)]),
    )
    const title = inner['title']
    if (typeof title !== 'string') return inner
    schemas[title] = inner
    return { $ref: `#/components/schemas/${title}` }
  }
  return { schemas, hoist }
}

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonObject {
  // Through text: what it gives has no undefined in it, which its type leaves open.
  return JSON.parse(JSON.stringify(z.toJSONSchema(schema, { io, unrepresentable: 'any' }))) as JsonObject
}

/** A schema that takes anything: the route doesn't look at that part. */
function isBlank(schema: JsonObject): boolean {
  return Object.keys(schema).every((name) => name === '$schema')
}

function parametersOf(route: DocumentedRoute, place: 'path' | 'query'): readonly Parameter[] {
  const schema = jsonSchemaOf(place === 'path' ? route.params : route.query, 'input')
  const members = isObject(schema['properties']) ? schema['properties'] : {}
  const needed = Array.isArray(schema['required']) ? schema['required'] : []
  return Object.entries(members).map(([name, member]) => {
    const [example] = route.examples.flatMap((shown) => {
      const value = (place === 'path' ? shown.params : shown.query)?.[name]
      return value === undefined || shown.status >= 400 ? [] : [value]
    })
    return {
      name,
      in: place,
      required: place === 'path' || needed.includes(name),
      schema: member,
      ...(example !== undefined && { example }),
    }
  })
}

const idempotencyKey: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'Makes a repeat harmless: the same key of the same user gets the same answer.',
  schema: { type: 'string', maxLength: 200 },
}

function requestBodyOf(route: DocumentedRoute, hoist: (schema: Json) => Json): Json | undefined {
  const schema = jsonSchemaOf(route.body, 'input')
  if (isBlank(schema)) return undefined
  const examples = route.examples.flatMap(({ summary, body }): [string, Json][] =>
    body === undefined ? [] : [[summary, { summary, value: body }]],
  )
  return {
    required: Array.isArray(schema['required']) && schema['required'].length > 0,
    content: {
      'application/json': {
        schema: hoist(schema),
        ...(examples.length > 0 && { examples: Object.fromEntries(examples) }),
      },
    },
  }
}

function errorResponse(description: string, schema: Json = errorSchema): Json {
  return { description, content: { 'application/json': { schema }, 'application/problem+json': { schema } } }
}

const errorSchema: Json = { $ref: '#/components/schemas/Error' }
const orOfLimits: Json = { anyOf: [errorSchema, { $ref: '#/components/schemas/LimitRefusal' }] }

const errorResponses: Readonly<Record<string, Json>> = {
  '429': errorResponse(
    'Too many requests of the user or the address; Retry-After says when to go on.',
    orOfLimits,
  ),
  '503': errorResponse('As 5XX, or the limits could not be asked and are not to be passed over.', orOfLimits),
  '4XX': errorResponse('Refused; the code says why.'),
  '5XX': errorResponse(
    'A part is down or failed; X-Gateway-Reason says whose failure it is. Retry-After where a retry can help.',
  ),
}

const templateOf = (path: string): string => path.replaceAll(/:(\w+)/g, '{$1}')

function operationIdOf({ method, path }: DocumentedRoute): string {
  const words = path.split('/').filter((word) => word !== '' && word !== 'api')
  const named = words.map((word) => word.replace(/^:(\w)/, (_, first: string) => `by-${first}`))
  return `${method}-${named.join('-')}`.replaceAll(/-+(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function operationOf(route: DocumentedRoute, hoist: (schema: Json) => Json): Operation {
  const { status, body } = route.answer
  const requestBody = requestBodyOf(route, hoist)
  const success = {
    description: STATUS_CODES[status] ?? 'Success',
    ...(body && { content: { 'application/json': { schema: hoist(jsonSchemaOf(body, 'output')) } } }),
  }
  return {
    operationId: operationIdOf(route),
    tags: [tagOf(route.path)],
    summary: route.summary,
    parameters: [
      ...parametersOf(route, 'path'),
      ...parametersOf(route, 'query'),
      ...(route.method === 'get' ? [] : [idempotencyKey]),
    ],
    ...(requestBody !== undefined && { requestBody }),
    responses: {
      [status]: success,
      ...(route.isOpen !== true && errorResponses),
    },
    ...(route.isOpen === true && { security: [] }),
    'x-examples': route.examples,
  }
}

/** The document of `routes`, in their order. Pure. */
export function openApiDocument(routes: readonly DocumentedRoute[]): ApiDocument {
  const { schemas, hoist } = createHoist()
  const paths: Record<string, Record<string, Operation>> = {}
  for (const route of routes) {
    const path = templateOf(route.path)
    paths[path] = { ...paths[path], [route.method]: operationOf(route, hoist) }
  }
  for (const shape of [errorShape, limitShape]) hoist(jsonSchemaOf(shape, 'output'))
  return {
    openapi: '3.1.0',
    info: {
      title: 'Gateway',
      version: '1',
      description: 'Errors, headers and limits: docs/http.md. The WebSocket at /ws: PROTOCOL.md.',
    },
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      schemas,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
    security: [{ bearer: [] }],
  }
}
