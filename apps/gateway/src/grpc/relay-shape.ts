/** The shape that `relayJson` gives a message, as a schema: derived from the same descriptor, so that both agree. */
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { z } from 'zod'

const longs: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
])
const fractions: ReadonlySet<ScalarType> = new Set([ScalarType.DOUBLE, ScalarType.FLOAT])

/** Google's Struct goes in circles; what clients get of it is each value beside the name of its kind. */
const struct = z
  .object({ fields: z.record(z.string(), z.looseObject({ kind: z.string() })) })
  .meta({ title: 'Struct' })

function scalarShape(scalar: ScalarType): z.ZodType {
  if (scalar === ScalarType.BOOL) return z.boolean()
  if (scalar === ScalarType.STRING || scalar === ScalarType.BYTES) return z.string()
  if (longs.has(scalar)) return z.string().regex(/^-?\d+$/)
  return fractions.has(scalar) ? z.number() : z.int()
}

function fieldShape(field: DescField): z.ZodType {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarShape(field.scalar)
    case 'enum':
      return z.union([z.string(), z.int()])
    case 'message':
      return relayShape(field.message)
    case 'list':
      return z.array(
        field.listKind === 'message'
          ? relayShape(field.message)
          : field.listKind === 'scalar'
            ? scalarShape(field.scalar)
            : z.int(),
      )
    case 'map':
      return z.record(
        z.string(),
        field.mapKind === 'message'
          ? relayShape(field.message)
          : field.mapKind === 'scalar'
            ? scalarShape(field.scalar)
            : z.int(),
      )
  }
}

/** The schema of `relayJson(message, …)`'s result. */
export function relayShape(message: DescMessage): z.ZodType {
  if (message.typeName === 'google.protobuf.Struct') return struct
  const isGoogles = message.typeName.startsWith('google.protobuf.')
  const members: Record<string, z.ZodType> = {}
  for (const field of message.fields) {
    const name = isGoogles ? field.localName : field.name
    const hasPresence =
      field.fieldKind === 'message' || field.oneof !== undefined || field.proto.proto3Optional
    members[name] = hasPresence ? fieldShape(field).optional() : fieldShape(field)
    if (field.proto.proto3Optional) members[`_${name}`] = z.literal(name).optional()
    else if (field.oneof) members[field.oneof.name] = z.string().optional()
  }
  return z.object(members).meta({ title: message.name })
}
