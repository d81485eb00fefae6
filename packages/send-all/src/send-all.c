/*
 * sendAll(fds, bytes, rest): the same bytes to many sockets, by send(2), in one call out of JavaScript.
 *
 * fds and rest are Int32Arrays, bytes is a Uint8Array. All of bytes goes to each socket of fds, up to the first that is negative; no
 * socket is waited for. One that took less, or failed, goes into rest by its place in fds, with the number of bytes
 * that it took: [place, taken, place, taken, ...]. Returns how many those are. Throws a TypeError for arguments of another
 * shape or size, before anything is written.
 */
#define NAPI_VERSION 8
#include <node_api.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

struct ints {
  int32_t *at;
  size_t length;
};

static bool get_ints(napi_env env, napi_value value, struct ints *ints) {
  bool is_typed = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, value, &is_typed) != napi_ok || !is_typed) return false;
  void *data = NULL;
  if (napi_get_typedarray_info(env, value, &type, &ints->length, &data, NULL, NULL) != napi_ok) return false;
  ints->at = data;
  return type == napi_int32_array;
}

static bool get_bytes(napi_env env, napi_value value, const char **at, size_t *length) {
  bool is_typed = false;
  napi_typedarray_type type;
  if (napi_is_typedarray(env, value, &is_typed) != napi_ok || !is_typed) return false;
  void *data = NULL;
  if (napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) != napi_ok) return false;
  *at = data;
  return type == napi_uint8_array;
}

static napi_value fail(napi_env env, const char *message) {
  napi_throw_type_error(env, NULL, message);
  return NULL;
}

static napi_value send_all(napi_env env, napi_callback_info info) {
  napi_value args[3];
  size_t count = 3;
  struct ints fds, rest;
  const char *bytes;
  size_t length;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count < 3 || !get_ints(env, args[0], &fds) ||
      !get_bytes(env, args[1], &bytes, &length) || !get_ints(env, args[2], &rest))
    return fail(env, "sendAll takes (fds: Int32Array, bytes: Uint8Array, rest: Int32Array)");
  if (length > INT32_MAX) return fail(env, "sendAll takes less than 2 GiB");
  size_t sockets = 0;
  while (sockets < fds.length && fds.at[sockets] >= 0) sockets++;
  if (rest.length / 2 < sockets) return fail(env, "sendAll needs two places in rest for each socket");

  uint32_t rest_count = 0;
  for (size_t place = 0; place < sockets; place++) {
    ssize_t taken = send(fds.at[place], bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken == (ssize_t)length) continue;
    rest.at[2 * rest_count] = (int32_t)place;
    rest.at[2 * rest_count + 1] = taken > 0 ? (int32_t)taken : 0;
    rest_count++;
  }

  napi_value result;
  return napi_create_uint32(env, rest_count, &result) == napi_ok ? result : NULL;
}

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "sendAll", NAPI_AUTO_LENGTH, send_all, NULL, &function) != napi_ok ||
      napi_set_named_property(env, exports, "sendAll", function) != napi_ok)
    return NULL;
  return exports;
}
