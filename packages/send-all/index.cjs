'use strict'

const { existsSync } = require('node:fs')
const path = require('node:path')

const file = path.join(__dirname, `dist/send-all-${process.platform}-${process.arch}.node`)

function load() {
  if (!existsSync(file)) return { reason: `not built for ${process.platform} on ${process.arch}` }
  try {
    return { sendAll: require(file).sendAll }
  } catch (error) {
    // E.g. built against another C library.
    return { reason: error instanceof Error ? error.message : String(error) }
  }
}

const loaded = load()

exports.sendAll = loaded.sendAll
exports.missingBecause = loaded.reason
