/**
 * A protobuf message as the platform's HTTP clients know it: snake_case names, int64 as decimal strings, all defaults
 * present, `{"seconds":"…","nanos":n}` timestamps, and a `"_name":"name"` marker beside each optional field that is set.
 */
import { type DescField, type DescMessage, type Message } from '@bufbuild/protobuf'
import { reflect, type ReflectMessage } from '@bufbuild/protobuf/reflect'

/** A JSON value. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json }

function scalarJson(value: unknown): Json {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number') return value
  return null
}

function fieldJson(field: DescField, message: ReflectMessage): Json {
  switch (field.fieldKind) {
    case 'scalar':
      return scalarJson(message.get(field))
    case 'enum':
      return field.enum.value[message.get(field)]?.name ?? message.get(field)
    case 'message':
      return messageJson(message.get(field))
    case 'list':
      return [...message.get(field)].map((item) =>
        field.listKind === 'message' ? messageJson(item as ReflectMessage) : scalarJson(item),
      )
    case 'map': {
      const entries = [...message.get(field)].map(([key, value]): [string, Json] => [
        String(key),
        field.mapKind === 'message' ? messageJson(value as ReflectMessage) : scalarJson(value),
      ])
      return Object.fromEntries(entries)
    }
  }
}

function messageJson(message: ReflectMessage): Json {
  const body: Record<string, Json> = {}
  for (const field of message.fields) {
    const hasPresence =
      field.fieldKind === 'message' || field.oneof !== undefined || field.proto.proto3Optional
    if (hasPresence && !message.isSet(field)) continue
    // The platform's loader brings Google's own types, such as Struct, with camelCase names.
    const name = message.desc.typeName.startsWith('google.protobuf.') ? field.localName : field.name
    body[name] = fieldJson(field, message)
    if (field.proto.proto3Optional) body[`_${name}`] = name
    else if (field.oneof) body[field.oneof.name] = name
  }
  return body
}

/** Converts `message`, described by `schema`. Pure; unknown fields are left out. */
export function relayJson(schema: DescMessage, message: Message): Json {
  return messageJson(reflect(schema, message))
}
