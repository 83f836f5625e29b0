// Package api is the public interface of a cluster: HTTP with JSON bodies under /v1, described by
// an OpenAPI document at /openapi.json.
//
//	holdfast volume … ──▶ Client ──▶ any node ──▶ Proxy ──▶ leader: NewHandler ──▶ Service
//
// [Service] is what a coordinator offers; [NewHandler] puts it on HTTP, [Client] calls it, and
// [Proxy] passes calls on from nodes that do not lead. Verbs answer when the thing is done; with
// no_wait they answer as soon as the coordinators agreed that it is to be done. Every verb may be
// repeated after a lost answer and then has the same effect once.
//
// Names are snake_case, sizes and epochs integers, times RFC 3339, lists arrays at the top; events
// and operations are streams of one JSON object a line. An error is a problem document (RFC 9457)
// that names the object, what is wrong and what to do.
//
// The package decides nothing: no safety rests on it, and no state is kept in it.
package api
